// SPDX-License-Identifier: Apache-2.0

// Package clustertest is the contract of package cluster as a test: every
// provider passes [TestProvider], so that whoever uses clusters need not know
// which provider they came from.
package clustertest

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// TestProvider opens the default topology of two clusters with p and checks
// everything that package cluster promises of the result: names and order,
// workloads and addresses, what can be dialed and how failures look, abilities,
// progress and closing. It needs clusters of networks of their own and leaves
// nothing open.
func TestProvider(t *testing.T, p cluster.Provider) {
	t.Helper()
	top, err := cluster.Default(2)
	if err != nil {
		t.Fatal(err)
	}
	events := &recorder{}
	set, err := p.Open(t.Context(), top, events.record)
	if err != nil {
		t.Fatal(err)
	}
	closing := sync.OnceFunc(func() { closeSet(t, set) })
	t.Cleanup(closing)
	events.opened.Store(true)

	t.Run("set", func(t *testing.T) { testSet(t, p, top, set) })
	t.Run("workloads", func(t *testing.T) { testWorkloads(t, set) })
	t.Run("dial", func(t *testing.T) { testDial(t, set) })
	t.Run("abilities", func(t *testing.T) { testAbilities(t, set) })
	t.Run("kubernetes", func(t *testing.T) { testKube(t, set) })
	t.Run("identities", func(t *testing.T) { testIdentities(t, set) })
	t.Run("resolver", func(t *testing.T) { testResolver(t, set) })
	t.Run("second-open", func(t *testing.T) { testSecondOpen(t, p, top, set) })
	t.Run("interrupted-open", func(t *testing.T) { testInterrupted(t, p, top) })
	closing()
	t.Run("closed", func(t *testing.T) { testClosed(t, set) })
	events.check(t, set)
}

func closeSet(t *testing.T, set *cluster.Set) {
	t.Helper()
	// Not the test's context: that one has ended when cleanups run.
	if err := set.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Errorf("close: %v", err)
	}
}

func testSet(t *testing.T, p cluster.Provider, top cluster.Topology, set *cluster.Set) {
	if set.Provider != p.Name() {
		t.Errorf("provider %q, the set says %q", p.Name(), set.Provider)
	}
	if diff := cmp.Diff(top, set.Topology); diff != "" {
		t.Errorf("topology (-asked +got):\n%s", diff)
	}
	var want, got []string
	for _, spec := range top.Clusters {
		want = append(want, spec.Name+" "+spec.Network+" "+spec.TrustDomain)
	}
	for _, c := range set.Clusters {
		got = append(got, c.Name()+" "+c.Network()+" "+c.TrustDomain())
		if found, ok := set.Cluster(c.Name()); !ok || found != c {
			t.Errorf("the set does not find %s", c.Name())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("clusters (-topology +set):\n%s", diff)
	}
}

func testWorkloads(t *testing.T, set *cluster.Set) {
	addresses := map[string]string{}
	for i, c := range set.Clusters {
		ws := workloads(t, c)
		var want, got []string
		for _, ns := range set.Topology.Clusters[i].Namespaces {
			for _, w := range ns.Workloads {
				want = append(want, c.Name()+"/"+ns.Name+"/"+w.Name+" "+w.ServiceAccount+" "+string(w.DataPlane)+" "+string(w.MTLS))
			}
		}
		for _, w := range ws {
			got = append(got, w.String()+" "+w.ServiceAccount+" "+string(w.DataPlane)+" "+string(w.MTLS))
			if !w.Address.IsValid() || w.Network != c.Network() || w.Proxy == "" {
				t.Errorf("%s: address %v, network %q, proxy %q", w.Ref, w.Address, w.Network, w.Proxy)
			}
			at := w.Network + " " + w.Address.String()
			if other := addresses[at]; other != "" {
				t.Errorf("%s and %s share %s", other, w.Ref, at)
			}
			addresses[at] = w.String()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: workloads (-topology +running):\n%s", c.Name(), diff)
		}
		if len(ws) > 0 {
			ws[0].Name = "overwritten"
			if again := workloads(t, c); again[0].Name == "overwritten" {
				t.Errorf("%s: the caller does not own the slice of workloads", c.Name())
			}
		}
	}
}

func workloads(t *testing.T, c cluster.Cluster) []cluster.Workload {
	t.Helper()
	ws, err := c.Workloads(t.Context())
	if err != nil {
		t.Fatalf("%s: workloads: %v", c.Name(), err)
	}
	return ws
}

// testSecondOpen makes sure that two sets share nothing.
func testSecondOpen(t *testing.T, p cluster.Provider, top cluster.Topology, first *cluster.Set) {
	second, err := p.Open(t.Context(), top, nil)
	if err != nil {
		t.Fatal(err)
	}
	closeSet(t, second)
	c := first.Clusters[0]
	w := server(t, c)
	conn, err := c.Dial(t.Context(), cluster.Workload{}, address(w))
	if err != nil {
		t.Fatalf("closing a second set breaks the first: %v", err)
	}
	_ = conn.Close()
}

func testInterrupted(t *testing.T, p cluster.Provider, top cluster.Topology) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	set, err := p.Open(ctx, top, nil)
	if err == nil {
		closeSet(t, set)
		t.Fatal("an open with a cancelled context succeeds")
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("want context.Canceled in %v", err)
	}
}

// testClosed looks at a set after its end.
func testClosed(t *testing.T, set *cluster.Set) {
	if err := set.Close(t.Context()); err != nil {
		t.Errorf("closing a set twice: %v", err)
	}
	for _, c := range set.Clusters {
		if err := c.Close(t.Context()); err != nil {
			t.Errorf("%s: closing twice: %v", c.Name(), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), silence)
		conn, err := c.Dial(ctx, cluster.Workload{}, net.JoinHostPort("ratings."+cluster.DefaultSidecarNamespace, "9080"))
		cancel()
		if err == nil {
			_ = conn.Close()
			t.Errorf("%s: a closed cluster can be dialed", c.Name())
		}
	}
}

// recorder checks the rules of events while they come.
type recorder struct {
	inside, opened atomic.Bool
	clusters       map[string]int
	faults         []string
}

func (r *recorder) record(e cluster.Event) {
	if !r.inside.CompareAndSwap(false, true) {
		panic("clustertest: two goroutines send events at once")
	}
	defer r.inside.Store(false)
	if r.opened.Load() {
		r.faults = append(r.faults, "an event after Open returned: "+e.Step)
	}
	if e.Step == "" || e.Time.IsZero() {
		r.faults = append(r.faults, "an event without step or time")
	}
	if r.clusters == nil {
		r.clusters = map[string]int{}
	}
	r.clusters[e.Cluster]++
}

func (r *recorder) check(t *testing.T, set *cluster.Set) {
	t.Helper()
	for _, f := range r.faults {
		t.Error(f)
	}
	for _, c := range set.Clusters {
		if r.clusters[c.Name()] == 0 {
			t.Errorf("no event about %s", c.Name())
		}
	}
}
