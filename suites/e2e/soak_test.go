// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	v1 "github.com/meshprobe/meshprobe/pkg/report/v1"
)

var (
	soakRuns = flag.Int("soak", 20, "runs of TestSoak, two per seed; make soak asks for 1000")
	soakSeed = flag.Uint64("soak-seed", 1, "first seed of TestSoak")
)

// TestSoak runs meshprobe again and again over random topologies: one seed
// gives one verdict, healthy meshes are conformant where calls can be tried, and nothing is left over
// after each run.
func TestSoak(t *testing.T) {
	// client-go's health check of an HTTP/2 connection holds it for 30 s after
	// its end: memory would depend on how many runs fit in there.
	t.Setenv("HTTP2_READ_IDLE_TIMEOUT_SECONDS", "0")
	leakFree(t)
	runs := max(2, *soakRuns/2*2)
	heap := make([]uint64, 0, runs)
	verdicts := map[probe.Verdict]int{}
	begin, files := time.Now(), 0
	for i := range runs / 2 {
		seed := *soakSeed + uint64(i)
		top, healthy := randomTopology(t, seed)
		wanted := probe.Conformant
		if len(top.Edges) == 0 {
			wanted = probe.Inconclusive // no call between its clusters can be tried
		}
		var first []string
		for again := range 2 {
			got := job{topology: top}.run(t.Context(), t, time.Minute)
			verdicts[got.Verdict]++
			if got.err != nil {
				t.Errorf("seed %d: %v", seed, got.err)
			}
			if healthy && got.Verdict != wanted || got.Verdict == probe.Inconclusive && wanted != probe.Inconclusive {
				t.Errorf("seed %d: %s, healthy %t\n%s%s", seed, got.Verdict, healthy, troubles(got.findings), describe(t, top))
			}
			if again == 0 {
				first = essence(got.findings)
			} else if diff := cmp.Diff(first, essence(got.findings)); diff != "" {
				t.Errorf("seed %d: the second run differs (-first +second):\n%s", seed, diff)
			}
			heap = append(heap, heapInUse())
		}
		if i == 0 {
			files = openFiles(t) // with what stays open for good
		} else if n := settled(t, files); n > files {
			t.Fatalf("seed %d: %d file descriptors, %d after the first seed", seed, n, files)
		}
		if t.Failed() && i > 20 {
			t.Fatal("enough")
		}
	}
	flat(t, heap)
	t.Logf("%d runs in %s: %v", runs, time.Since(begin).Round(time.Millisecond), verdicts)
}

// settled is the number of open files once it is no more than want, or after
// ten seconds: HTTP clients close their connections in goroutines of their own.
func settled(t *testing.T, want int) int {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for begin := time.Now(); ; <-tick.C {
		if n := openFiles(t); n <= want || time.Since(begin) > 10*time.Second {
			return n
		}
	}
}

// heapInUse is what is left after everything that can be freed is.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC() // what finalizers and pools held until the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// heapSlack is what may be held after the runs beyond what the first one held:
// caches that are bounded, such as that of checked signatures.
const heapSlack = 2 << 20

// heapLinger is how long closed connections may still be held: client-go's
// timers keep one for up to half a minute after its peer is gone.
const heapLinger = time.Minute

// flat demands that what the runs held is let go of.
func flat(t *testing.T, heap []uint64) {
	t.Helper()
	var medians []uint64
	for part := range slices.Chunk(heap, max(1, len(heap)/10)) {
		medians = append(medians, median(part)>>10)
	}
	t.Logf("heap after each tenth of the runs, KiB: %v", medians)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for begin := time.Now(); ; <-tick.C {
		held := heapInUse()
		if held <= heap[0]+heapSlack {
			return
		}
		if time.Since(begin) > heapLinger {
			t.Errorf("the heap grew from %d to %d KiB and stays so", heap[0]>>10, held>>10)
			return
		}
	}
}

func median(v []uint64) uint64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

// essence is what two runs of one topology must share.
func essence(findings []v1.Finding) []string {
	out := make([]string, len(findings))
	for i, f := range findings {
		out[i] = fmt.Sprintf("%s %s: %s %s %s", f.ID, f.Subject, f.Status, f.Cause, f.BlockedBy)
	}
	slices.Sort(out)
	return out
}

func describe(t *testing.T, top cluster.Topology) string {
	t.Helper()
	out, err := yaml.Marshal(top)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// randomTopology is a topology that a seed chooses, and whether everything
// that it asks for can work.
func randomTopology(t *testing.T, seed uint64) (top cluster.Topology, healthy bool) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0)) // the same each time
	top = cluster.Topology{Version: cluster.TopologyVersion}
	n := 2 + r.IntN(5)*r.IntN(2) // every second one has two clusters
	shared, domains := r.IntN(3) == 0, r.IntN(4)
	for i := range n {
		c := cluster.ClusterSpec{Name: fmt.Sprintf("c%d", i)}
		if shared {
			c.Network = fmt.Sprintf("net%d", r.IntN(2))
		}
		if domains < 2 {
			c.TrustDomain = fmt.Sprintf("td%d.example", r.IntN(2))
		}
		if domains == 0 {
			c.TrustDomainAliases = []string{"td0.example", "td1.example"}
		}
		for j := range 1 + r.IntN(2) {
			c.Namespaces = append(c.Namespaces, randomNamespace(r, fmt.Sprintf("ns%d", j)))
		}
		top.Clusters = append(top.Clusters, c)
	}
	if r.IntN(2) == 0 {
		top.Edges = randomEdges(r, top.Clusters)
	}
	top, err := cluster.ParseTopology(bytes.NewReader([]byte(describe(t, top))))
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	return top, domains >= 2 && !disabled(top)
}

func randomNamespace(r *rand.Rand, name string) cluster.NamespaceSpec {
	modes := []cluster.MTLSMode{cluster.Strict, cluster.Strict, cluster.Strict, cluster.Permissive, cluster.Permissive, cluster.Disable}
	planes := []cluster.DataPlane{cluster.Sidecar, cluster.Sidecar, cluster.Ambient, cluster.Ambient, cluster.NoMesh}
	ns := cluster.NamespaceSpec{Name: name, MTLS: modes[r.IntN(5)]}
	for i := range 1 + r.IntN(3) {
		dp := planes[r.IntN(len(planes))]
		// One name has one data plane: a service that is ambient over there and a
		// sidecar's here is of local scope here, so Istio does not share it.
		w := cluster.WorkloadSpec{Name: fmt.Sprintf("%s%d", dp, i), DataPlane: dp}
		if r.IntN(4) == 0 {
			w.MTLS = modes[r.IntN(len(modes))]
		}
		if r.IntN(5) > 0 {
			w.Service = &cluster.ServiceSpec{Protocol: []string{"http", "tcp", "auto"}[r.IntN(3)]}
		}
		ns.Workloads = append(ns.Workloads, w)
	}
	return ns
}

// end is one end of an edge.
type end struct {
	cluster.Ref
	dp      cluster.DataPlane
	service bool
}

// randomEdges go from any workload of the mesh to any service of the same data
// plane, across clusters and within.
func randomEdges(r *rand.Rand, clusters []cluster.ClusterSpec) []cluster.Edge {
	var ends []end
	for _, c := range clusters {
		for _, ns := range c.Namespaces {
			for _, w := range ns.Workloads {
				if w.DataPlane != cluster.NoMesh {
					ends = append(ends, end{cluster.Ref{Cluster: c.Name, Namespace: ns.Name, Name: w.Name}, w.DataPlane, w.Service != nil})
				}
			}
		}
	}
	var edges []cluster.Edge
	for range min(len(ends), r.IntN(2*len(clusters))) {
		from, to := ends[r.IntN(len(ends))], ends[r.IntN(len(ends))]
		e := cluster.Edge{From: from.Ref, To: to.Ref, DataPlane: to.dp}
		if to.service && from.dp == to.dp && from.Ref != to.Ref && !slices.Contains(edges, e) {
			edges = append(edges, e)
		}
	}
	return edges
}

// disabled says whether an edge leads to a service without mutual TLS.
func disabled(top cluster.Topology) bool {
	for _, e := range top.Edges {
		c, _ := top.Spec(e.To.Cluster)
		for _, ns := range c.Namespaces {
			for _, w := range ns.Workloads {
				if ns.Name == e.To.Namespace && w.Service != nil && w.Service.Name == e.To.Name && w.MTLS == cluster.Disable {
					return true
				}
			}
		}
	}
	return false
}
