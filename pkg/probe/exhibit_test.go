// SPDX-License-Identifier: Apache-2.0

package probe_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// spoken is what an endpoint said.
type spoken struct{ Said string }

func given(t *testing.T) (probe.Plan, probe.Setup) {
	t.Helper()
	obs := probe.Observation[place, spoken]{
		Name: "a/seen", Over: probe.Given[place], Exhibit: probe.ExhibitEndpoint,
		Observe: func(_ context.Context, _ *probe.Env, p place) (spoken, error) {
			if p == "mute" {
				return spoken{}, errors.New("nothing to look with")
			}
			return spoken{"I am " + string(p)}, nil
		},
	}
	plan, err := probe.Select([]probe.Probe{
		probe.DefineOn(meta("a/one"), obs, func(spoken) []probe.Finding {
			return []probe.Finding{probe.Undecided("no bundle was given")}
		}),
	}, probe.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	return plan, func(context.Context, func(probe.Progress)) (*probe.Env, error) {
		return probe.EnvOf(func(yield func(probe.Subject) bool) {
			_ = yield(place("x")) && yield(cluster.Workload{}) && yield(place("mute")) && yield(place("y"))
		}, nil), nil
	}
}

// What was observed is shown before its findings, with its place in the input,
// in a run and in its replay; what could not be observed is not.
func TestExhibits(t *testing.T) {
	plan, setup := given(t)
	dir := t.TempDir()
	rec, err := probe.NewRecorder(dir)
	if err != nil {
		t.Fatal(err)
	}
	var run, replay sink
	sum, err := (&probe.Runner{Sink: &run, Parallel: 1, Recorder: rec}).Run(t.Context(), probe.RunStarted{}, plan, setup)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Verdict != probe.Inconclusive || sum.Counts[probe.Skip] != 2 {
		t.Errorf("verdict %s, counts %v", sum.Verdict, sum.Counts)
	}
	record, err := probe.ReadRecord(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&probe.Runner{Sink: &replay, Parallel: 1}).Replay(t.Context(), record, plan); err != nil {
		t.Fatal(err)
	}
	want := []any{
		probe.Exhibit{Kind: probe.ExhibitEndpoint, Subject: "x", Index: 1, Value: spoken{"I am x"}},
		"x",
		"mute",
		probe.Exhibit{Kind: probe.ExhibitEndpoint, Subject: "y", Index: 3, Value: spoken{"I am y"}},
		"y",
	}
	for name, events := range map[string][]probe.Event{"run": run.events, "replay": replay.events} {
		var got []any
		for _, e := range events {
			switch e := e.(type) {
			case probe.Exhibit:
				got = append(got, e)
			case probe.FindingDone:
				got = append(got, e.Finding.Subject)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A run whose caller withheld what it takes to judge is partial, not failed.
func TestUndecidedIsPartial(t *testing.T) {
	plan, _ := given(t)
	var s sink
	sum, err := (&probe.Runner{Sink: &s}).Run(t.Context(), probe.RunStarted{}, plan,
		func(context.Context, func(probe.Progress)) (*probe.Env, error) {
			return probe.EnvOf(slices.Values([]probe.Subject{place("x")}), nil), nil
		})
	if err != nil || sum.Verdict != probe.Partial || sum.ExitStatus() != 0 {
		t.Errorf("verdict %s, exit %d, error %v", sum.Verdict, sum.ExitStatus(), err)
	}
}
