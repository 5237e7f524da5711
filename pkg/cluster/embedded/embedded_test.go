// SPDX-License-Identifier: Apache-2.0

package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, n int) *cluster.Set {
	t.Helper()
	top, err := cluster.Default(n)
	if err != nil {
		t.Fatal(err)
	}
	return openTopology(t, top)
}

func openTopology(t testing.TB, top cluster.Topology) *cluster.Set {
	t.Helper()
	set, err := (&embedded.Provider{ConnectTimeout: 200 * time.Millisecond}).Open(t.Context(), top, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return set
}

func TestBringUpIsQuick(t *testing.T) {
	// Generous: measured are 60 ms and 300 ms on two cores, and ten times that
	// under the race detector. Of three attempts the best counts, because other
	// programs share the machine.
	for n, bound := range map[int]time.Duration{2: time.Second, 24: 8 * time.Second} {
		if race {
			bound *= 6
		}
		best := time.Duration(math.MaxInt64)
		for attempt := 0; attempt < 3 && best > bound; attempt++ {
			best = min(best, bringUp(t, n))
		}
		if best > bound {
			t.Errorf("%d clusters take %s to come up", n, best)
		}
	}
}

// bringUp times how long n clusters take to come up, and closes them.
func bringUp(t *testing.T, n int) time.Duration {
	t.Helper()
	top, err := cluster.Default(n)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	set, err := (&embedded.Provider{}).Open(t.Context(), top, nil)
	took := time.Since(begin)
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return took
}

func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{2, 24} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			top, err := cluster.Default(n)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				set, err := (&embedded.Provider{}).Open(b.Context(), top, nil)
				if err != nil {
					b.Fatal(err)
				}
				if err := set.Close(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkResolve resolves every edge of 24 federated clusters.
func BenchmarkResolve(b *testing.B) {
	set := open(b, 24)
	federate(b, set)
	b.ResetTimer()
	for b.Loop() {
		for e := range set.Edges() {
			if _, ok := endpoint(b, set, e); !ok {
				b.Fatal(e, "does not resolve")
			}
		}
	}
}

// TestCloseLeavesNothing counts sockets; goroutines are TestMain's.
func TestCloseLeavesNothing(t *testing.T) {
	count := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("no /proc: ", err)
		}
		sockets := 0
		for _, fd := range fds {
			// Not pipes: the runtime pools those of splice(2).
			if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, "socket:") {
				sockets++
			}
		}
		return sockets
	}
	cycle := func() {
		top, err := cluster.Default(2)
		if err != nil {
			t.Fatal(err)
		}
		set, err := (&embedded.Provider{}).Open(t.Context(), top, nil)
		if err != nil {
			t.Fatal(err)
		}
		federate(t, set)
		for e := range set.Edges() {
			ep, _ := endpoint(t, set, e)
			from, _ := set.Cluster(e.From.Cluster)
			if _, err := call(t.Context(), from, identity(t, set, e.From), ep); err != nil {
				t.Error(err)
			}
		}
		if err := set.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	cycle() // what the runtime opens once (epoll) is open now
	goleak.VerifyNone(t)
	before := count()
	for range 2 {
		cycle()
	}
	goleak.VerifyNone(t)
	if after := count(); after > before {
		t.Errorf("%d sockets before, %d after", before, after)
	}
}

// TestRefreshAtHalfLife moves the clock: workloads renew by themselves after
// half of their certificate's life, and not before.
func TestRefreshAtHalfLife(t *testing.T) {
	var offset atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
	top, err := cluster.Default(2)
	if err != nil {
		t.Fatal(err)
	}
	set, err := (&embedded.Provider{Now: clock}).Open(t.Context(), top, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Close(context.WithoutCancel(t.Context())) })
	c := set.Clusters[0]
	putCACerts(t, c, cacerts(t, newAuthority(t, "shared root", nil), "east"))
	restart(t, c, "istio-system", "istiod")
	from := cluster.Ref{Cluster: "east", Namespace: "bookinfo", Name: "reviews"}
	local := cluster.Edge{From: from, To: cluster.Ref{Cluster: "east", Namespace: "bookinfo", Name: "ratings"}, DataPlane: cluster.Sidecar}
	for _, step := range []struct {
		after time.Duration
		works bool
	}{{0, false}, {11 * time.Hour, false}, {12 * time.Hour, true}} {
		offset.Store(int64(step.after))
		ep, _ := endpoint(t, set, local)
		_, err := call(t.Context(), c, identity(t, set, from), ep)
		if (err == nil) != step.works {
			t.Errorf("%s after the rotation: %v", step.after, err)
		}
	}
}

// TestScaling takes a workload away and brings it back.
func TestScaling(t *testing.T) {
	set := open(t, 2)
	c := set.Clusters[0]
	api := kube(t, c).AppsV1().Deployments("bookinfo")
	scale := func(n int, want string) {
		t.Helper()
		if _, err := api.Patch(t.Context(), "ratings-v1", types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, n), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		awaitDeployment(t, c, "bookinfo", "ratings-v1")
		_, err := c.Dial(t.Context(), cluster.Workload{}, "ratings.bookinfo:9080")
		got := "connected"
		if errors.Is(err, syscall.ECONNREFUSED) {
			got = "refused"
		} else if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%d replicas: %s, want %s", n, got, want)
		}
	}
	scale(0, "refused")
	if ws, _ := c.Workloads(t.Context()); len(ws) != 5 {
		t.Errorf("%d workloads are running", len(ws))
	}
	scale(1, "connected")
}

// TestDeletedPodIsReplaced restarts a workload the way that Service Mesh Hub
// bounces pods.
func TestDeletedPodIsReplaced(t *testing.T) {
	set := open(t, 2)
	c := set.Clusters[0]
	address := func() string {
		ws, err := c.Workloads(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range ws {
			if w.Namespace == "bookinfo" && w.Name == "ratings-v1" {
				return w.Address.String()
			}
		}
		return ""
	}
	before := address()
	err := kube(t, c).CoreV1().Pods("bookinfo").DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "app=ratings"})
	if err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); address() == "" || address() == before; {
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("the pod at %s is not replaced", before)
		}
	}
	conn, err := c.Dial(t.Context(), cluster.Workload{}, "ratings.bookinfo:9080")
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

// TestGatewayLabelsReachItsService is what istiod's gateway controller does.
func TestGatewayLabelsReachItsService(t *testing.T) {
	c := open(t, 2).Clusters[0]
	nameNetwork(t, c)
	for begin := time.Now(); ; {
		s, err := kube(t, c).CoreV1().Services("istio-system").Get(t.Context(), "eastwest-ambient", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if s.Labels["topology.istio.io/network"] == "east" {
			if in := s.Status.LoadBalancer.Ingress; len(in) != 1 || in[0].IP != "192.0.2.2" {
				t.Errorf("the address is lost: %v", in)
			}
			return
		}
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("labels %v", s.Labels)
		}
	}
}
