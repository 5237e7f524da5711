// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded"
	"github.com/meshprobe/meshprobe/pkg/federate"
	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites"
)

// open brings the default topology up in this process: two clusters, not
// federated. They are closed when the test ends.
func open(t *testing.T) *cluster.Set {
	t.Helper()
	topology, err := cluster.Default(2)
	if err != nil {
		t.Fatal(err)
	}
	set, err := (&embedded.Provider{ConnectTimeout: time.Second}).Open(t.Context(), topology, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return set
}

// federation gives the clusters of a set one shared root.
func federation(t *testing.T, set *cluster.Set) {
	t.Helper()
	root, err := issuer.NewBuiltin(&issuer.Memory{}, issuer.Options{KeyType: issuer.ECDSAP256})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := federate.NewPlan(t.Context(), set, federate.Options{Issuer: root, ServiceEntries: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := federate.Apply(t.Context(), plan, nil); err != nil {
		t.Fatal(err)
	}
}

// run runs every probe of every profile. recorder may be nil.
func run(t *testing.T, set *cluster.Set, recorder *probe.Recorder) []probe.Finding {
	t.Helper()
	// Profiles decide which probes run, not which observations there are: a
	// probe of any profile may be the only one to judge an observation.
	all := suites.Mesh()
	for i := range all {
		all[i].Profiles = nil
	}
	plan, err := probe.Select(all, probe.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	env, err := probe.NewEnv(t.Context(), set, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	sink := &findings{}
	runner := &probe.Runner{Sink: sink, Recorder: recorder}
	start := probe.RunStarted{Provider: embedded.Name}
	setup := func(context.Context, func(probe.Progress)) (*probe.Env, error) { return env, nil }
	if _, err := runner.Run(t.Context(), start, plan, setup); err != nil {
		t.Fatal(err)
	}
	return sink.all
}

// findings is a sink that keeps them.
type findings struct{ all []probe.Finding }

var _ probe.Sink = (*findings)(nil)

// Emit takes one event.
func (s *findings) Emit(e probe.Event) error {
	if done, ok := e.(probe.FindingDone); ok {
		s.all = append(s.all, done.Finding)
	}
	return nil
}

// Close has nothing to close.
func (s *findings) Close() error { return nil }
