// SPDX-License-Identifier: Apache-2.0

package interop_test

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites/endpoint"
	"github.com/meshprobe/meshprobe/suites/endpoint/endpointtest"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// hostile is the hostile peers and a client of the mesh that they are in.
type hostile struct {
	peers map[string]endpointtest.Peer
	mesh  endpointtest.Mesh
	busy  map[string]*atomic.Int32 // connections that a peer still has
}

func newHostile(t *testing.T) hostile {
	t.Helper()
	ca := hbonetest.NewCA(t, "cluster.local")
	m := endpointtest.Mesh{CA: ca, Server: ca.Issue(t, ratings)}
	h := hostile{peers: endpointtest.Peers(t, m), mesh: m, busy: map[string]*atomic.Int32{}}
	for name, peer := range h.peers {
		open := new(atomic.Int32)
		h.busy[name] = open
		h.peers[name] = func(ctx context.Context, conn net.Conn) {
			open.Add(1)
			defer open.Add(-1)
			peer(ctx, conn)
		}
	}
	return h
}

// meet probes a peer with all the means that a kind has.
func (h hostile) meet(t *testing.T, name string, kind wire.Kind, timeout time.Duration) *told {
	target := wire.Target{
		Kind: kind, Address: h.peers[name].Start(t), Identity: clusterIdentity(h.mesh.CA.Issue(t, reviews)),
		Timeout: timeout, Quiet: 300 * time.Millisecond,
	}
	if kind != wire.TLS {
		target.To, target.Send = "ratings.shop:9080", []byte("hello")
	}
	return ask(t, &wire.Observer{}, target, endpoint.Asked{Bundle: seen.Certs{h.mesh.CA.Cert.Raw}})
}

// impatience is the time of a peer that only lets its caller wait; the others
// have ample.
const impatience = 6 * time.Second

// meetAll meets peers at the same time, so many of them at once.
func (h hostile) meetAll(t *testing.T, names []string, kind func(string) wire.Kind, timeout time.Duration, parallel int) map[string]*told {
	t.Helper()
	var mu sync.Mutex
	met := map[string]*told{}
	slots := make(chan struct{}, parallel)
	var wg sync.WaitGroup
	for _, name := range names {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			start := time.Now()
			x := h.meet(t, name, kind(name), timeout)
			if took := time.Since(start); took > timeout+ample {
				t.Errorf("%s takes %v of %v", name, took, timeout)
			}
			mu.Lock()
			defer mu.Unlock()
			met[name] = x
		})
	}
	wg.Wait()
	return met
}

// sound is what holds for every peer: a failure has a cause and evidence, an
// outcome that is none of acceptance has words, what is kept is bounded and fit
// for a terminal.
func (x *told) sound(t *testing.T) {
	t.Helper()
	if x.last() == "" {
		t.Error("no outcome")
	}
	for _, f := range x.findings {
		if f.Status == probe.Fail && (f.Cause.Code == "" || len(f.Evidence) == 0) {
			t.Errorf("%s fails without cause or evidence", f.ID)
		}
		if f.Status == probe.Broken && strings.Contains(f.Reason, "panic") {
			t.Errorf("%s: %s", f.ID, f.Reason)
		}
	}
	if l := x.Last(); l != nil && !l.Outcome.OK() && l.Error == "" && l.Alert == "" && x.Answer.Protocol == wire.ProtocolTLS {
		t.Errorf("%s without a word", l.Outcome)
	}
	text, err := json.Marshal(x.Met)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 2<<20 {
		t.Errorf("%d bytes are kept of it", len(text))
	}
	for _, control := range []string{`\u001b`, `\u0007`, `\u0000`} {
		if strings.Contains(string(text), control) {
			t.Errorf("%s gets through", control)
		}
	}
	var back endpoint.Met
	if err := json.Unmarshal(text, &back); err != nil {
		t.Errorf("what was seen does not survive JSON: %v", err)
	}
}

// gone waits until the peer has no connection left: the observer closes what it
// opened. Those of hbonetest.Server may hold on to a closed one.
func (h hostile) gone(t *testing.T, name string) {
	t.Helper()
	if strings.HasPrefix(name, "hbone-") {
		return
	}
	deadline := time.NewTimer(ample)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for h.busy[name].Load() > 0 {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Errorf("%d connections are still open", h.busy[name].Load())
			return
		}
	}
}

// TestHostile: each peer is called what it is.
func TestHostile(t *testing.T) {
	t.Parallel()
	h := newHostile(t)
	wants := hostileWants()
	if got, want := len(h.peers), len(wants); got < 40 || got != want {
		t.Errorf("%d peers, %d rows", got, want)
	}
	kind := func(name string) wire.Kind {
		if overHTTP2(name) {
			return wire.HBONE
		}
		return wire.TLS
	}
	for timeout, names := range map[time.Duration][]string{impatience: patient(), ample: h.others()} {
		for name, x := range h.meetAll(t, names, kind, timeout, 32) {
			t.Run(name, func(t *testing.T) {
				w, ok := wants[name]
				if !ok {
					t.Fatal("it has no row in the table")
				}
				x.check(t, w)
				x.sound(t)
				h.gone(t, name)
			})
		}
	}
}

// TestHostileHBONE: those that break TLS are no better as HBONE servers.
func TestHostileHBONE(t *testing.T) {
	t.Parallel()
	h := newHostile(t)
	kind := func(string) wire.Kind { return wire.DoubleHBONE }
	under := func(names []string) []string { return slices.DeleteFunc(names, overHTTP2) }
	for timeout, names := range map[time.Duration][]string{impatience: under(patient()), ample: under(h.others())} {
		for name, x := range h.meetAll(t, names, kind, timeout, 32) {
			t.Run(name, func(t *testing.T) {
				x.sound(t)
				if x.verdict != probe.Nonconformant {
					t.Errorf("the verdict is %s: %s, %s", x.verdict, x.last(), x.cause())
				}
				h.gone(t, name)
			})
		}
	}
}

// others are the peers that are not patient.
func (h hostile) others() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(h.peers)), func(name string) bool { return slices.Contains(patient(), name) })
}

// TestHostileMemory: what a peer can make of the heap while it is met, and of
// what stays.
func TestHostileMemory(t *testing.T) {
	h := newHostile(t)
	for _, name := range []string{
		"noise", "endless-handshake", "certificate-1mib", "compressed-certificate", "ca-names-10000", "endless-data",
		"h2-hpack-bomb", "h2-settings-endless", "h2-error-body-40mib", "hbone-continuation-flood", "hbone-window-overrun", "tunnel-of-100-mib",
	} {
		t.Run(name, func(t *testing.T) {
			kind := wire.TLS
			if overHTTP2(name) {
				kind = wire.HBONE
			}
			before := heap()
			var most uint64
			done := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				tick := time.NewTicker(250 * time.Millisecond)
				defer tick.Stop()
				for {
					select {
					case <-done:
						return
					case <-tick.C:
						most = max(most, heap())
					}
				}
			})
			x := h.meet(t, name, kind, impatience/3)
			close(done)
			wg.Wait()
			most = max(most, heap())
			if grown := int64(most) - int64(before); grown > 48<<20 {
				t.Errorf("the heap grew by %d MiB", grown>>20)
			}
			runtime.KeepAlive(x)
		})
	}
}

// heap is what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	return ms.HeapAlloc
}
