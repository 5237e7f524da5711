// SPDX-License-Identifier: Apache-2.0

package probe_test

import (
	"context"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// TestWorkloadBlocksCallsToItsService runs and replays: what is wrong with one
// workload behind a service makes calls to the service meaningless, and neither
// calls from it nor other workloads of the service.
func TestWorkloadBlocksCallsToItsService(t *testing.T) {
	workload := func(name, service string) cluster.Workload {
		w := cluster.Workload{Ref: cluster.Ref{Cluster: "west", Namespace: "shop", Name: name}}
		if service != "" {
			w.Service = &cluster.Service{Name: service}
		}
		return w
	}
	workloads := func(*probe.Env) iter.Seq[cluster.Workload] {
		return slices.Values([]cluster.Workload{workload("pay-v1", "pay"), workload("pay-v2", "pay"), workload("cart-v1", "")})
	}
	observe := func(_ context.Context, _ *probe.Env, w cluster.Workload) (string, error) { return w.String(), nil }
	probes := []probe.Probe{
		probe.Define(meta("a/workload"), workloads, observe, failOn("west/shop/pay-v1", "west/shop/cart-v1")),
		probe.Define(meta("b/workload", "a/workload"), workloads, observe, failOn()),
		probe.Define(meta("c/call", "a/workload"), over(
			"east/shop/cart → west/shop/pay", "west/shop/pay → east/shop/pay", "east/shop/pay → west/shop/cart"), echo, failOn()),
	}
	want := []string{
		"a/workload [west/shop/cart-v1] fail",
		"a/workload [west/shop/pay-v1] fail",
		"a/workload [west/shop/pay-v2] pass",
		"b/workload [west/shop/cart-v1] blocked by a/workload west/shop/cart-v1",
		"b/workload [west/shop/pay-v1] blocked by a/workload west/shop/pay-v1",
		"b/workload [west/shop/pay-v2] pass",
		"c/call [east/shop/cart → west/shop/pay] blocked by a/workload west/shop/pay-v1",
		"c/call [east/shop/pay → west/shop/cart] pass",
		"c/call [west/shop/pay → east/shop/pay] pass",
	}
	dir := filepath.Join(t.TempDir(), "record")
	recorder, err := probe.NewRecorder(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := run(t, probe.Runner{Recorder: recorder}, noSetup, probes...)
	if diff := cmp.Diff(want, s.lines()); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}

	record, err := probe.ReadRecord(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := probe.Select(probes, probe.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	again := &sink{}
	if _, err := (&probe.Runner{Sink: again}).Replay(t.Context(), record, plan); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, again.lines()); diff != "" {
		t.Errorf("replayed (-want +got):\n%s", diff)
	}
}

// TestBlockedGroupIsNotObserved saves the time of an observation that every
// probe of its group would find blocked, by each other in the end.
func TestBlockedGroupIsNotObserved(t *testing.T) {
	seen := 0
	shared := probe.Observation[place, string]{Name: "call", Over: over("east"), Observe: func(context.Context, *probe.Env, place) (string, error) {
		seen++
		return "", nil
	}}
	s, _ := run(t, probe.Runner{}, noSetup,
		probe.Define(meta("a/first"), over("east"), echo, failOn("east")),
		probe.DefineOn(meta("b/second", "a/first"), shared, failOn()),
		probe.DefineOn(meta("c/third", "b/second"), shared, failOn()),
	)
	want := []string{"a/first [east] fail", "b/second [east] blocked by a/first east", "c/third [east] blocked by a/first east"}
	if diff := cmp.Diff(want, s.lines()); diff != "" || seen != 0 {
		t.Errorf("%d observations; findings (-want +got):\n%s", seen, diff)
	}
}
