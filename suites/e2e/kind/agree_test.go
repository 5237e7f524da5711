// SPDX-License-Identifier: Apache-2.0

// Package kind_test holds the embedded clusters to real ones: on the same
// topology every probe says the same of both.
//
//	MESHPROBE_KIND=require go test ./suites/e2e/kind -v
//	go test ./suites/e2e/kind -v -args -provider kind -reuse NAME
package kind_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded"
	"github.com/meshprobe/meshprobe/pkg/federate"
	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
	"github.com/meshprobe/meshprobe/pkg/probe"
	_ "github.com/meshprobe/meshprobe/pkg/probe/probetest" // takes the flags of every suite
	"github.com/meshprobe/meshprobe/suites"
	"github.com/meshprobe/meshprobe/suites/e2e/kindtest"
)

// TestAgree runs every probe on real clusters and on embedded ones. Whatever a
// probe says in one place it must say in the other: status and cause, of each
// subject. kindtest.OnlyReal names the probes that have nothing to look at in an
// embedded mesh.
func TestAgree(t *testing.T) {
	began := time.Now()
	mesh := kindtest.Open(t)
	opened := time.Now()
	kindtest.Federate(t, mesh)
	t.Logf("clusters %s, verified federation %s: %s from nothing", opened.Sub(began).Round(time.Second), time.Since(opened).Round(time.Second), time.Since(began).Round(time.Second))
	want, got := said(t, standing(t, mesh.Topology)), said(t, mesh)
	differ := 0
	for _, key := range slices.Sorted(maps.Keys(merged(want, got))) {
		if id, _, _ := strings.Cut(key, " "); !kindtest.Agree(id, want[key].verdict, got[key].verdict) {
			differ++
			t.Errorf("%s\n  embedded %s\n  kind     %s\n%s", key, or(want[key].verdict), or(got[key].verdict), got[key].why)
		}
	}
	t.Logf("%d findings, %d differ", len(merged(want, got)), differ)
}

// standing is an embedded mesh of the same topology, federated.
func standing(t *testing.T, top cluster.Topology) *cluster.Set {
	t.Helper()
	set, err := (&embedded.Provider{}).Open(t.Context(), top, nil)
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
	plan, err := federate.NewPlan(t.Context(), set, federate.Options{Issuer: root})
	if err == nil {
		err = federate.Apply(t.Context(), plan, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// saying is what was found of one subject by one probe.
type saying struct{ verdict, why string }

// said runs every probe. What could not be seen is looked at once more: a busy
// machine may be too slow for the time of one observation.
func said(t *testing.T, set *cluster.Set) map[string]saying {
	t.Helper()
	out := run(t, set)
	for range 2 {
		if !slices.ContainsFunc(slices.Collect(maps.Values(out)), func(s saying) bool { return strings.HasPrefix(s.verdict, probe.Broken.String()) }) {
			break
		}
		for key, s := range run(t, set) {
			if strings.HasPrefix(out[key].verdict, probe.Broken.String()) {
				out[key] = s
			}
		}
	}
	return out
}

func run(t *testing.T, set *cluster.Set) map[string]saying {
	t.Helper()
	plan, err := probe.Select(suites.Mesh(), probe.Selection{Profile: probe.Ambient})
	if err != nil {
		t.Fatal(err)
	}
	sink := findings{}
	runner := &probe.Runner{Sink: sink, Timeout: time.Minute}
	_, err = runner.Run(t.Context(), probe.RunStarted{Provider: set.Provider}, plan,
		func(ctx context.Context, _ func(probe.Progress)) (*probe.Env, error) {
			return probe.NewEnv(ctx, set, nil, nil)
		})
	if err != nil {
		t.Fatal(err)
	}
	if len(sink) == 0 {
		t.Fatalf("nothing was found on %s", set.Provider)
	}
	return sink
}

// findings is a sink that keeps what was said, by probe and subject.
type findings map[string]saying

var _ probe.Sink = findings{}

// Emit takes one event.
func (s findings) Emit(e probe.Event) error {
	done, ok := e.(probe.FindingDone)
	if !ok {
		return nil
	}
	f := done.Finding
	verdict := strings.TrimSpace(f.Status.String() + " " + f.Cause.Code)
	why := f.Reason
	for _, e := range f.Evidence {
		why += fmt.Sprintf("\n    %s: want %q, got %q", e.Label, e.Want, e.Got)
	}
	s[f.ID+" "+f.Subject] = saying{verdict, why}
	return nil
}

// Close has nothing to close.
func (findings) Close() error { return nil }

func merged(a, b map[string]saying) map[string]saying {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

func or(verdict string) string { return cmp.Or(verdict, "nothing") }
