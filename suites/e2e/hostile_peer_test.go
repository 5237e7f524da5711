// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	v1 "github.com/meshprobe/meshprobe/pkg/report/v1"
)

// meshOf opens and federates a healthy mesh, for several runs to disturb.
func meshOf(t *testing.T, top cluster.Topology) *cluster.Set {
	t.Helper()
	set, err := job{topology: top}.open(t.Context())
	if set != nil {
		t.Cleanup(func() {
			if err := set.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// on is a run against clusters that are open already.
func on(set *cluster.Set) job {
	return job{topology: set.Topology, setup: func(context.Context) (*cluster.Set, error) { return set, nil }}
}

// target is what of the cluster west turns hostile, and whose findings that
// may touch.
type target struct {
	chosen  func(addr string) bool
	touched func(f v1.Finding) bool
}

func targets(t *testing.T, west cluster.Cluster) map[string]target {
	t.Helper()
	ws, err := west.Workloads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pods := map[netip.Addr]bool{}
	for _, w := range ws {
		pods[w.Address] = true
	}
	host := func(addr string) netip.Addr {
		ap, err := netip.ParseAddrPort(addr)
		if err != nil {
			return netip.Addr{}
		}
		return ap.Addr()
	}
	gateways := netip.MustParsePrefix("192.0.2.0/24")
	return map[string]target{
		"gateways": {func(addr string) bool { return gateways.Contains(host(addr)) }, func(f v1.Finding) bool {
			return !strings.Contains(f.Subject, "/") || strings.Contains(f.Subject, "→")
		}},
		"workloads": {func(addr string) bool { return pods[host(addr)] }, func(f v1.Finding) bool { return strings.Contains(f.Subject, "west") }},
		"istiod":    {func(addr string) bool { return strings.HasPrefix(addr, "istiod.") }, func(v1.Finding) bool { return true }},
	}
}

// TestHostilePeers: whatever a peer does, it costs the findings about it, never
// the run.
func TestHostilePeers(t *testing.T) {
	leakFree(t)
	set := meshOf(t, defaultTopology(t))
	healthy := on(set).run(t.Context(), t, 20*time.Second)
	if healthy.Verdict != probe.Conformant || healthy.err != nil {
		t.Fatalf("the mesh is %s: %v\n%s", healthy.Verdict, healthy.err, troubles(healthy.findings))
	}
	hostile := peers(t)
	for name, to := range targets(t, set.Clusters[1]) {
		for _, how := range slices.Sorted(maps.Keys(hostile)) {
			t.Run(name+" "+how, func(t *testing.T) {
				tr := newTrap(t, hostile[how])
				j := on(leadTo(set, tr, to.chosen))
				j.timeout, j.parallel = 6*time.Second, 32
				if slices.Contains(patient(), how) {
					t.Parallel() // they cost time, but no work
					j.timeout = 4 * time.Second
				}
				got := j.run(t.Context(), t, 40*time.Second)
				if got.err != nil {
					t.Error(got.err)
				}
				if tr.caught() == 0 {
					t.Fatal("nobody met the peer")
				}
				if name != "istiod" && got.ExitStatus() == 0 {
					t.Errorf("exit status 0, verdict %s", got.Verdict)
				}
				sameButFor(t, healthy.findings, got.findings, to.touched)
			})
		}
	}
}

// patient are the peers that wait for their caller to give up.
func patient() []string {
	return []string{"hangs at once", "hangs in the handshake", "hangs after TLS", "drips", "floods with PING"}
}

// sameButFor compares the statuses of two runs, but for the findings that a
// disturbance may touch. None may vanish, and no failure lacks evidence.
func sameButFor(t *testing.T, want, got []v1.Finding, touched func(v1.Finding) bool) {
	t.Helper()
	have := map[string]v1.Finding{}
	for _, f := range got {
		have[f.ID+" "+f.Subject] = f
		if f.Status == "fail" && (f.Cause == "" || len(f.Evidence) == 0) {
			t.Errorf("%s %s fails without a cause or evidence", f.ID, f.Subject)
		}
	}
	for _, w := range want {
		f, ok := have[w.ID+" "+w.Subject]
		if !ok {
			t.Errorf("%s %s vanished", w.ID, w.Subject)
		}
		if !touched(w) && f.Status != w.Status {
			t.Errorf("%s %s is %s, without the peer %s: %s %s", w.ID, w.Subject, f.Status, w.Status, f.Cause, f.Reason)
		}
	}
}

// TestCutNetwork cuts every wire at a seeded point of the run: connections die
// and no dial works any more. That says nothing about the mesh, so nothing
// fails.
func TestCutNetwork(t *testing.T) {
	leakFree(t)
	set := meshOf(t, defaultTopology(t))
	dials := countDials(t, set)
	for how, points := range map[string]int{"resets": 12, "goes silent": 4} {
		for i := range points {
			after := dials * i / points
			t.Run(fmt.Sprintf("%s after %d of %d dials", how, after, dials), func(t *testing.T) {
				t.Parallel()
				w := &wire{left: after, silent: how == "goes silent"}
				j := on(intercept(set, w.dial))
				j.timeout, j.parallel = 4*time.Second, 32
				got := j.run(t.Context(), t, 60*time.Second)
				if got.err != nil || got.Verdict != probe.Inconclusive {
					t.Errorf("%s, %v\n%s", got.Verdict, got.err, troubles(got.findings))
				}
			})
		}
	}
}

func countDials(t *testing.T, set *cluster.Set) int {
	t.Helper()
	var n atomic.Int64
	got := on(intercept(set, func(context.Context, cluster.Cluster, cluster.Workload, string) (net.Conn, error) {
		n.Add(1)
		return nil, errPass
	})).run(t.Context(), t, 20*time.Second)
	if got.Verdict != probe.Conformant || n.Load() == 0 {
		t.Fatalf("%s after %d dials", got.Verdict, n.Load())
	}
	return int(n.Load())
}

// wire lets a number of dials through and then cuts everything.
type wire struct {
	silent bool // what is cut goes silent instead of being reset

	mu   sync.Mutex
	left int
	open []*wired
	cut  bool
}

func (w *wire) dial(ctx context.Context, c cluster.Cluster, from cluster.Workload, addr string) (net.Conn, error) {
	w.mu.Lock()
	if w.left--; w.left < 0 && !w.cut {
		w.cut = true
		for _, c := range w.open {
			c.sever()
		}
	}
	cut := w.cut
	w.mu.Unlock()
	if cut {
		if w.silent {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: net.UnknownNetworkError("cut")}
	}
	conn, err := c.Dial(ctx, from, addr)
	if err != nil {
		return nil, err
	}
	out := &wired{Conn: conn, w: w, gone: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = append(w.open, out)
	if w.cut {
		out.sever()
	}
	return out, nil
}

// wired is a connection that can be cut.
type wired struct {
	net.Conn
	w    *wire
	gone chan struct{}
	once sync.Once
}

// sever resets the connection, or lets nothing through any more.
func (c *wired) sever() {
	if c.w.silent {
		c.once.Do(func() { close(c.gone) })
		return
	}
	reset(context.Background(), c.Conn)
	_ = c.Conn.Close()
}

// Read gives nothing of what came after the cut, not even the end: only its
// own deadline or Close ends it.
func (c *wired) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		select {
		case <-c.gone:
		default:
			return n, err
		}
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
			return 0, err
		}
		<-time.After(5 * time.Millisecond)
	}
}

// Write pretends after the cut.
func (c *wired) Write(p []byte) (int, error) {
	select {
	case <-c.gone:
		return len(p), nil
	default:
		return c.Conn.Write(p)
	}
}
