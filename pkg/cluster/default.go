// SPDX-License-Identifier: Apache-2.0

package cluster

import "fmt"

// The namespaces of the default topology, one per data plane.
const (
	DefaultSidecarNamespace = "bookinfo"
	DefaultAmbientNamespace = "bookinfo-ambient"
)

// Default is the topology of --clusters n: clusters east, west, … in networks
// of their own, each with Istio's Bookinfo in a sidecar and in an ambient
// namespace, spread so that reviews → ratings crosses clusters; one edge per
// ordered pair of clusters and data plane. n must be 2 to MaxClusters.
func Default(n int) (Topology, error) {
	if n < 2 || n > MaxClusters {
		return Topology{}, &TopologyError{
			Msg:  fmt.Sprintf("%d clusters; trust across clusters needs 2 to %d", n, MaxClusters),
			Hint: "for example: meshprobe run --clusters 2",
		}
	}
	t := Topology{Version: TopologyVersion}
	for i := range n {
		t.Clusters = append(t.Clusters, ClusterSpec{Name: defaultName(i), Namespaces: bookinfo(i, n)})
	}
	for _, from := range t.Clusters {
		for _, to := range t.Clusters {
			if from.Name == to.Name {
				continue
			}
			t.Edges = append(t.Edges,
				Edge{Ref{from.Name, DefaultSidecarNamespace, "reviews"}, Ref{to.Name, DefaultSidecarNamespace, "ratings"}, Sidecar},
				Edge{Ref{from.Name, DefaultAmbientNamespace, "reviews"}, Ref{to.Name, DefaultAmbientNamespace, "ratings"}, Ambient})
		}
	}
	return t.complete(nil)
}

func defaultName(i int) string {
	if names := []string{"east", "west", "north", "south"}; i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("cluster%02d", i+1)
}

// bookinfo spreads the three versions of reviews round-robin over the n
// clusters; the front page lives in the first, ratings everywhere.
func bookinfo(i, n int) []NamespaceSpec {
	return []NamespaceSpec{
		bookinfoNamespace(DefaultSidecarNamespace, Sidecar, i, n),
		bookinfoNamespace(DefaultAmbientNamespace, Ambient, i, n),
	}
}

func bookinfoNamespace(name string, dp DataPlane, i, n int) NamespaceSpec {
	ns := NamespaceSpec{Name: name, MTLS: Strict}
	add := func(name, app string) {
		ns.Workloads = append(ns.Workloads, WorkloadSpec{
			Name: name, ServiceAccount: app, DataPlane: dp,
			Service: &ServiceSpec{Name: app, Port: 9080, Protocol: "http"},
		})
	}
	if i == 0 {
		add("productpage-v1", "productpage")
	}
	add(fmt.Sprintf("reviews-v%d", i%3+1), "reviews")
	if n == 2 && i == 1 {
		add("reviews-v3", "reviews")
	}
	add("ratings-v1", "ratings")
	return ns
}
