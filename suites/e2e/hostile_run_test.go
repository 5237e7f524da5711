// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded"
	"github.com/meshprobe/meshprobe/pkg/federate"
	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/report"
	v1 "github.com/meshprobe/meshprobe/pkg/report/v1"
	"github.com/meshprobe/meshprobe/suites"
)

// job is one run of meshprobe: the main job, with places to disturb it.
type job struct {
	topology cluster.Topology
	provider embedded.Provider
	issuer   issuer.Issuer // nil: builtin, ECDSA P-256

	opened         func(*cluster.Set)                          // after the clusters are up
	disturb        func(*cluster.Set) *cluster.Set             // after federation, what probes see
	setup          func(context.Context) (*cluster.Set, error) // nil: opens and federates
	requestTimeout time.Duration                               // of a request to an API while federating, default 30s

	parallel int
	timeout  time.Duration // of an observation, default 10s
	sinks    []probe.Sink  // besides JSON and JUnit
}

// result is what a run left behind.
type result struct {
	probe.Summary
	err      error
	findings []v1.Finding
	took     time.Duration
}

// run does the job within bound, and checks what every run owes: reports that
// can be read, whatever happened, and agree with the summary.
func (j job) run(ctx context.Context, t *testing.T, bound time.Duration) result {
	t.Helper()
	dir := t.TempDir()
	jsonFile, junitFile := filepath.Join(dir, "report.json"), filepath.Join(dir, "report.xml")
	sinks := append([]probe.Sink{file(t, jsonFile, report.FormatJSON), file(t, junitFile, report.FormatJUnit)}, j.sinks...)
	sink := report.Ordered(report.Tee(sinks...))
	plan, err := probe.Select(suites.Mesh(), probe.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	start := probe.RunStarted{Version: "test", Provider: embedded.Name, Edges: j.topology.Edges}
	runner := &probe.Runner{Sink: sink, Parallel: j.parallel, Timeout: j.timeout}
	var set *cluster.Set
	begin := time.Now()
	var res result
	res.Summary, res.err = runner.Run(ctx, start, plan, func(ctx context.Context, _ func(probe.Progress)) (*probe.Env, error) {
		if j.setup != nil {
			given, err := j.setup(ctx)
			if err != nil {
				return nil, err
			}
			return probe.NewEnv(ctx, given, j.provider.Now, nil)
		}
		var err error
		if set, err = j.open(ctx); err != nil {
			return nil, err
		}
		seen := set
		if j.disturb != nil {
			seen = j.disturb(set)
		}
		return probe.NewEnv(ctx, seen, j.provider.Now, nil)
	})
	res.err = errors.Join(res.err, sink.Close())
	if set != nil {
		res.err = errors.Join(res.err, set.Close(context.WithoutCancel(ctx)))
	}
	if res.took = time.Since(begin); res.took > bound {
		t.Errorf("the run took %s, more than %s", res.took, bound)
	}
	var said probe.Verdict
	if res.findings, said = readReports(t, dir, jsonFile, junitFile); said != res.Verdict {
		t.Errorf("the JSON report says %q, the run %q", said, res.Verdict)
	}
	return res
}

// open brings the clusters up and federates them. The set is returned also
// where federation failed.
func (j job) open(ctx context.Context) (*cluster.Set, error) {
	set, err := j.provider.Open(ctx, j.topology, nil)
	if err != nil {
		return nil, err
	}
	if j.opened != nil {
		j.opened(set)
	}
	is := j.issuer
	if is == nil {
		if is, err = issuer.NewBuiltin(&issuer.Memory{}, issuer.Options{KeyType: issuer.ECDSAP256, Now: j.provider.Now}); err != nil {
			return set, err
		}
	}
	plan, err := federate.NewPlan(ctx, set, federate.Options{Issuer: is, NoVerify: true, Now: j.provider.Now, RequestTimeout: j.requestTimeout})
	if err != nil {
		return set, err
	}
	return set, federate.Apply(ctx, plan, nil)
}

func file(t *testing.T, path, format string) probe.Sink {
	t.Helper()
	s, err := report.File(path, format, report.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// readReports checks the reports of a run, and that nothing else was left in
// their directory.
func readReports(t *testing.T, dir, jsonFile, junitFile string) ([]v1.Finding, probe.Verdict) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if p := filepath.Join(dir, e.Name()); p != jsonFile && p != junitFile {
			t.Errorf("%s was left behind", p)
		}
	}
	raw, err := os.ReadFile(jsonFile)
	if err != nil {
		t.Fatal(err)
	}
	var doc v1.Report
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatalf("the JSON report cannot be read: %v\n%s", err, raw)
	}
	if doc.Schema != v1.Schema || doc.Verdict == "" || len(doc.Findings) == 0 {
		t.Errorf("schema %q, verdict %q, %d findings", doc.Schema, doc.Verdict, len(doc.Findings))
	}
	raw, err = os.ReadFile(junitFile)
	if err != nil {
		t.Fatal(err)
	}
	if n := testCases(t, raw); n != len(doc.Findings) {
		t.Errorf("%d test cases in JUnit, %d findings in JSON", n, len(doc.Findings))
	}
	return doc.Findings, probe.Verdict(doc.Verdict)
}

// testCases counts the test cases of a JUnit report, which must be well-formed.
func testCases(t *testing.T, raw []byte) int {
	t.Helper()
	n := 0
	dec := xml.NewDecoder(bytes.NewReader(raw))
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			t.Fatalf("the JUnit report is no XML: %v\n%s", err, raw)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "testcase" {
			n++
		}
	}
}

// leakFree fails the test where it leaves a goroutine or a file descriptor
// behind. It is to be the first thing that the test does.
func leakFree(t *testing.T) {
	t.Helper()
	warm()
	before, files := goleak.IgnoreCurrent(), openFiles(t)
	t.Cleanup(func() {
		goleak.VerifyNone(t, before)
		// The kernel closes what a goroutine that just ended had open at once, but
		// an idle client lets go a moment after its server.
		deadline := time.Now().Add(5 * time.Second)
		for openFiles(t) > files && time.Now().Before(deadline) {
			runtime.Gosched()
		}
		if n := openFiles(t); n > files {
			t.Errorf("%d file descriptors, %d before", n, files)
		}
	})
}

// warm opens what the runtime keeps open for good: its poller.
func warm() {
	if r, w, err := os.Pipe(); err == nil {
		_ = errors.Join(r.Close(), w.Close())
	}
}

// openFiles counts the process's descriptors; 0 where /proc is not.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

// byStatus lists findings that are not as healthy ones are, for a failed test.
func troubles(findings []v1.Finding) string {
	var b strings.Builder
	for _, f := range findings {
		if slices.Contains([]string{"pass", "skip", "note"}, f.Status) {
			continue
		}
		b.WriteString(f.Status + " " + f.ID + " " + f.Subject + " " + f.Cause + " " + f.Reason + "\n")
	}
	return b.String()
}

func defaultTopology(t *testing.T) cluster.Topology {
	t.Helper()
	top, err := cluster.Default(2)
	if err != nil {
		t.Fatal(err)
	}
	return top
}
