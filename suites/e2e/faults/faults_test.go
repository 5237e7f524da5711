// SPDX-License-Identifier: Apache-2.0

// Package faults breaks the embedded mesh in every named way, and a real one in
// as many as real clusters can be broken in, and holds meshprobe to what it must
// then say: the one thing that is wrong, first, on the right side, with a fix that
// works; and of both meshes the same.
package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/fault"
	"github.com/meshprobe/meshprobe/pkg/federate"
	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/probetest"
	"github.com/meshprobe/meshprobe/pkg/report"
	"github.com/meshprobe/meshprobe/suites"
	"github.com/meshprobe/meshprobe/suites/e2e/kindtest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	var ignored []goleak.Option
	if kindtest.Wanted() {
		// client-go keeps its connections to API servers that go on running.
		ignored = append(ignored, goleak.IgnoreAnyFunction("golang.org/x/net/http2.(*clientConnReadLoop).run"))
	}
	goleak.VerifyTestMain(m, ignored...)
}

// first is the finding that a report must begin with.
type first struct {
	probe, subject string
	warn           bool // it breaks nothing yet
}

// wants is by fault, for the default topology of two clusters: the last one,
// west, is hit.
var wants = map[string]first{
	"root-mismatch-same-dn":           {probe: "trust/shared-root", subject: "east ↔ west"},
	"root-mismatch-distinct-dn":       {probe: "trust/shared-root", subject: "east ↔ west"},
	"root-is-intermediate":            {probe: "ca/signed-by-root", subject: "west"},
	"cacerts-after-istiod":            {probe: "ca/istiod-serves-cacerts", subject: "west"},
	"intermediate-not-sent":           {probe: "ca/chain-order", subject: "west"},
	"wrong-intermediate-shipped":      {probe: "ca/chain-order", subject: "west"},
	"intermediate-expired":            {probe: "ca/lifetime-left", subject: "west"},
	"root-configmap-stale":            {probe: "trust/root-configmap", subject: "west"},
	"workload-stale-leaf":             {probe: "identity/current-ca", subject: "west/bookinfo/ratings-v1"},
	"leaf-expired-no-renewal":         {probe: "identity/not-expired", subject: "west/bookinfo/ratings-v1"},
	"leaf-outlives-intermediate":      {probe: "identity/inside-issuer", subject: "west/bookinfo/ratings-v1", warn: true},
	"spiffe-san-shape":                {probe: "identity/spiffe-id", subject: "west/bookinfo/ratings-v1"},
	"inner-san-wrong-workload":        {probe: "identity/belongs-to-workload", subject: "west/bookinfo-ambient/ratings-v1"},
	"td-mismatch-sidecar-no-alias":    {probe: "trust/trust-domain", subject: "west"},
	"td-mismatch-ambient":             {probe: "trust/trust-domain", subject: "west"},
	"istiod-unreachable":              {probe: "ca/istiod-serves-cacerts", subject: "west"},
	"remote-secret-unlabelled":        {probe: "discovery/remote-secret", subject: "east → west"},
	"remote-secret-bad-ca":            {probe: "discovery/remote-secret", subject: "east → west"},
	"remote-secret-expired-token":     {probe: "discovery/remote-secret", subject: "east → west"},
	"remote-secret-missing-or-broken": {probe: "discovery/remote-secret", subject: "east → west"},
	"network-label-missing":           {probe: "discovery/network-label", subject: "west"},
	"ew-unreachable":                  {probe: "gateway/passthrough", subject: "west"},
	"ew-sni-no-match":                 {probe: "gateway/passthrough", subject: "west"},
	"tls-terminated-in-middle":        {probe: "gateway/passthrough", subject: "west"},
	"mtls-disabled-remote":            {probe: "handshake/sidecar-mtls", subject: "east/bookinfo/reviews → west/bookinfo/ratings"},
	"client-cert-not-required":        {probe: "handshake/client-cert-required", subject: "west/bookinfo/ratings-v1"},
	"permissive-when-strict":          {probe: "handshake/strict-refuses-plaintext", subject: "west/bookinfo/ratings-v1"},
	"strict-vs-plaintext":             {probe: "handshake/permissive-takes-both", subject: "west/bookinfo/ratings-v1"},
	"hbone-authority-any":             {probe: "hbone/foreign-authority", subject: "west/bookinfo-ambient/ratings-v1"},
}

func TestNoFault(t *testing.T) {
	clean(t, newMesh(t).run(t, nil))
}

func TestFaults(t *testing.T) {
	for _, f := range fault.All() {
		t.Run(f.Name, func(t *testing.T) {
			want, known := wants[f.Name]
			if !known {
				t.Fatal("the table does not say what is to be found")
			}
			m := newMesh(t)
			order, err := fault.Parse(f.Name)
			if err != nil {
				t.Fatal(err)
			}
			if err := order.Apply(t.Context(), m.set); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "record")
			recorder, err := probe.NewRecorder(dir)
			if err != nil {
				t.Fatal(err)
			}
			got := m.run(t, recorder)
			blames(t, f.Code(), want, got)
			golden(t, f.Name, got.text)
			replays(t, dir, got)
			m.fix(t, got.findings)
			clean(t, m.run(t, nil))
		})
	}
}

// blames holds a run to its cause: named first, on the right side, and nothing
// else named beside it.
func blames(t *testing.T, code string, want first, got result) {
	t.Helper()
	for _, c := range blamed(code, want, got) {
		t.Error(c)
	}
}

// blamed is what is wrong with how a run names its cause.
func blamed(code string, want first, got result) (complaints []string) {
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	status, exit := probe.Fail, 1
	if want.warn {
		status, exit = probe.Warn, 0
	}
	begun := false
	for _, f := range got.findings {
		switch f.Status {
		case probe.Pass, probe.Note, probe.Skip, probe.Blocked:
			continue
		default:
		}
		if !begun {
			begun = true
			said := []string{f.Status.String(), f.ID, f.Subject, f.Cause.Code}
			if diff := cmp.Diff([]string{status.String(), want.probe, want.subject, code}, said); diff != "" {
				complain("first finding (-want +got):\n%s", diff)
			}
		}
		if f.Status != status || f.Cause.Code != code {
			complain("beside the cause: %s %s %s: %s %s", f.Status, f.ID, f.Subject, f.Cause.Code, f.Reason)
		}
	}
	if !begun {
		complain("nothing was found")
	}
	if got.summary.ExitStatus() != exit {
		complain("exit status %d, want %d", got.summary.ExitStatus(), exit)
	}
	if strict := got.strict.ExitStatus(); strict != 1 {
		complain("exit status with --strict %d, want 1", strict)
	}
	if i := strings.Index(got.text, code); i < 0 || strings.Count(got.text[:i], "\n") > 5 {
		complain("the report does not begin with the cause:\n%s", got.text)
	}
	return complaints
}

// clean holds a run to having nothing to say.
func clean(t *testing.T, got result) {
	t.Helper()
	for _, c := range unclean(got) {
		t.Error(c)
	}
}

// unclean is what a run says that it should not.
func unclean(got result) (complaints []string) {
	for _, f := range got.findings {
		switch f.Status {
		case probe.Pass, probe.Note, probe.Skip:
		default:
			complaints = append(complaints, fmt.Sprintf("%s %s %s: %s %s%s\n%v", f.Status, f.ID, f.Subject, f.Cause.Code, f.Reason, f.BlockedBy, f.Evidence))
		}
	}
	if got.summary.ExitStatus() != 0 || got.strict.ExitStatus() != 0 {
		complaints = append(complaints, fmt.Sprintf("verdict %s", got.summary.Verdict))
	}
	return complaints
}

// mesh is a federated mesh of two clusters, with what issued its root.
type mesh struct {
	set    *cluster.Set
	issuer issuer.Issuer
}

func newMesh(t *testing.T) *mesh {
	t.Helper()
	topology, err := cluster.Default(2)
	if err != nil {
		t.Fatal(err)
	}
	set, err := (&embedded.Provider{}).Open(t.Context(), topology, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	root, err := issuer.NewBuiltin(&issuer.Memory{}, issuer.Options{KeyType: issuer.ECDSAP256})
	if err != nil {
		t.Fatal(err)
	}
	m := &mesh{set, root}
	m.federate(t)
	return m
}

// federate is meshprobe federate plan && meshprobe federate apply.
func (m *mesh) federate(t *testing.T) {
	t.Helper()
	plan, err := federate.NewPlan(t.Context(), m.set, federate.Options{Issuer: m.issuer, NoVerify: true, StepTimeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := federate.Apply(t.Context(), plan, nil); err != nil {
		t.Fatal(err)
	}
}

// result is what a run said, in three ways.
type result struct {
	findings []probe.Finding // in report order
	text     string
	json     []byte
	summary  probe.Summary
	strict   probe.Summary // the same, had it run with --strict
}

// sinks are text, JSON and the findings themselves.
type sinks struct {
	probe.Sink
	text, json bytes.Buffer
	kept       keep
}

type keep struct{ findings []probe.Finding }

// Emit takes one event.
func (k *keep) Emit(e probe.Event) error {
	if done, ok := e.(probe.FindingDone); ok {
		k.findings = append(k.findings, done.Finding)
	}
	return nil
}

// Close has nothing to close.
func (k *keep) Close() error { return nil }

func newSinks(t *testing.T) *sinks {
	t.Helper()
	s := &sinks{}
	text, err := report.New(report.FormatText, &s.text, report.Options{})
	if err != nil {
		t.Fatal(err)
	}
	object, err := report.New("json", &s.json, report.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Sink = report.Ordered(report.Tee(text, object, &s.kept))
	return s
}

func plan(t *testing.T) probe.Plan {
	t.Helper()
	p, err := probe.Select(suites.Mesh(), probe.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (m *mesh) run(t *testing.T, recorder *probe.Recorder) result {
	t.Helper()
	return m.runPlan(t, recorder, plan(t))
}

func (m *mesh) runPlan(t *testing.T, recorder *probe.Recorder, p probe.Plan) result {
	t.Helper()
	s := newSinks(t)
	start := probe.RunStarted{Version: "test", Provider: m.set.Provider, Edges: m.set.Topology.Edges}
	for _, c := range m.set.Topology.Clusters {
		start.Clusters = append(start.Clusters, probe.ClusterFacts{Name: c.Name, Network: c.Network, TrustDomain: c.TrustDomain})
	}
	r := &probe.Runner{Sink: s, Recorder: recorder}
	summary, err := r.Run(t.Context(), start, p, func(ctx context.Context, _ func(probe.Progress)) (*probe.Env, error) {
		return probe.NewEnv(ctx, m.set, nil, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.result(t, summary)
}

func (s *sinks) result(t *testing.T, summary probe.Summary) result {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	got := result{findings: s.kept.findings, text: s.text.String(), json: s.json.Bytes(), summary: summary, strict: summary}
	for _, f := range got.findings {
		if f.Status == probe.Warn {
			got.strict.Verdict = probe.Nonconformant
		}
	}
	return got
}

// replays holds the record of a run to saying the same, times aside.
func replays(t *testing.T, dir string, run result) {
	t.Helper()
	record, err := probe.ReadRecord(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	s := newSinks(t)
	summary, err := (&probe.Runner{Sink: s}).Replay(t.Context(), record, plan(t))
	if err != nil {
		t.Fatal(err)
	}
	again := s.result(t, summary)
	if diff := cmp.Diff(timeless(t, run.json), timeless(t, again.json)); diff != "" {
		t.Errorf("JSON (-run +replay):\n%s", diff)
	}
}

var times = regexp.MustCompile(`"(duration_ms|seq)":\s*[0-9.]+|"started":\s*"[^"]*"`)

// timeless is a JSON report without its times, indented so that differences
// can be read.
func timeless(t *testing.T, raw []byte) string {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, times.ReplaceAll(raw, []byte(`"time":0`)), "", " "); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// changing is what differs from run to run, by what it is replaced with; the
// words are as long, so that lines break where they did.
var changing = []struct {
	pattern *regexp.Regexp
	word    string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "yyyy-mm-ddThh:mm:ssZ"},
	{regexp.MustCompile(`\b(in|after) [0-9.]+(µs|ms|s)\b`), "$1 TIME"},
	{regexp.MustCompile(` +[0-9.]+(µs|ms|s)\n`), " TIME\n"},
	{regexp.MustCompile(`https://127\.0\.0\.1:\d+`), "https://127.0.0.1:PORT"},
	{regexp.MustCompile(`\((\d+[dhms] ?)+(left|ago)\)`), "(SPAN $2)"},
}

// hash is a key or serial number as reports show it.
var hash = regexp.MustCompile(`\b(?:[0-9a-f]{16}|[0-9a-f]{12})\b`)

// settled is a text in which every run writes the same, and different keys
// still look different.
func settled(text string) string {
	for _, c := range changing {
		text = c.pattern.ReplaceAllString(text, c.word)
	}
	numbers := map[string]int{}
	return hash.ReplaceAllStringFunc(text, func(h string) string {
		if numbers[h] == 0 {
			numbers[h] = len(numbers) + 1
		}
		return fmt.Sprintf("%0*d", len(h), numbers[h])
	})
}

// golden compares a text report with the one that was read by eye. Rewrite
// them with: go test ./suites/e2e/faults -args -update
func golden(t *testing.T, name, text string) {
	t.Helper()
	text = settled(text)
	file := filepath.Join("testdata", name+".txt")
	if probetest.Update() {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
