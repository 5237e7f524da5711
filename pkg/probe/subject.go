// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"iter"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Subject is what a probe looks at. Its text identifies it in reports and
// records; its parts say where it lies.
type Subject interface {
	// String is unique among the subjects of one probe, e.g. "east",
	// "east ↔ west", "east/shop/cart", "east/shop/cart → west/shop/pay".
	String() string

	// Parts are the places it is made of: "east", or "east/shop/cart". None
	// means the whole mesh.
	Parts() []string
}

// Mesh is the subject of a probe over all clusters at once.
type Mesh struct{}

// String is "mesh".
func (Mesh) String() string { return "mesh" }

// Parts is empty: the whole mesh.
func (Mesh) Parts() []string { return nil }

// ClusterSubject is one cluster.
type ClusterSubject struct{ cluster.Cluster }

// String is the cluster's name.
func (c ClusterSubject) String() string { return c.Name() }

// Parts is the cluster's name.
func (c ClusterSubject) Parts() []string { return []string{c.Name()} }

var (
	_ Subject = Mesh{}
	_ Subject = ClusterSubject{}
	_ Subject = cluster.Pair{}
	_ Subject = cluster.Edge{}
	_ Subject = cluster.Workload{}
	_ Subject = cluster.Waypoint{}
)

// The subjects of a mesh.

// WholeMesh yields the mesh itself, once.
func WholeMesh(*Env) iter.Seq[Mesh] {
	return func(yield func(Mesh) bool) { yield(Mesh{}) }
}

// Clusters yields each cluster.
func Clusters(env *Env) iter.Seq[ClusterSubject] {
	return func(yield func(ClusterSubject) bool) {
		for _, c := range env.Set.Clusters {
			if !yield(ClusterSubject{c}) {
				return
			}
		}
	}
}

// Pairs yields each unordered pair of clusters.
func Pairs(env *Env) iter.Seq[cluster.Pair] { return env.Set.Pairs() }

// Directions yields each ordered pair of clusters.
func Directions(env *Env) iter.Seq[cluster.Pair] { return env.Set.Directions() }

// Edges yields the edges of one data plane.
func Edges(dp cluster.DataPlane) func(*Env) iter.Seq[cluster.Edge] {
	return func(env *Env) iter.Seq[cluster.Edge] {
		return filter(env.Set.Edges(), func(e cluster.Edge) bool { return e.DataPlane == dp })
	}
}

// Workloads yields the workloads of the inventory that keep says yes to.
func Workloads(keep func(cluster.Workload) bool) func(*Env) iter.Seq[cluster.Workload] {
	return func(env *Env) iter.Seq[cluster.Workload] {
		return filter(values(env.Workloads), keep)
	}
}

// Waypoints yields the waypoints of the inventory.
func Waypoints(env *Env) iter.Seq[cluster.Waypoint] { return values(env.Waypoints) }

func filter[T any](seq iter.Seq[T], keep func(T) bool) iter.Seq[T] {
	return func(yield func(T) bool) {
		for v := range seq {
			if keep(v) && !yield(v) {
				return
			}
		}
	}
}

func values[T any](s []T) iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, v := range s {
			if !yield(v) {
				return
			}
		}
	}
}

// arrow joins the two ends of a subject with a direction.
const arrow = " → "

// covers says whether a finding on one subject also lies under another: every
// part of it is a part of the other, or holds one. Between two subjects with a
// direction, beginning must match beginning and end, end.
// What is wrong with a workload also lies under every call to its service.
func covers(f failure, subject string, parts []string) bool {
	if f.serves != "" && len(parts) == 2 && strings.Contains(subject, arrow) && parts[1] == f.serves {
		return true
	}
	if len(f.parts) == 2 && len(parts) == 2 && strings.Contains(f.text, arrow) && strings.Contains(subject, arrow) {
		return under(f.parts[0], parts[:1]) && under(f.parts[1], parts[1:])
	}
	for _, p := range f.parts {
		if !under(p, parts) {
			return false
		}
	}
	return true
}

// serves is the service behind which a workload stands, as the end of an edge
// names it; empty for every other subject.
func serves(s Subject) string {
	switch s := s.(type) {
	case cluster.Workload:
		if s.Service != nil {
			return cluster.Ref{Cluster: s.Cluster, Namespace: s.Namespace, Name: s.Service.Name}.String()
		}
	case recorded:
		return s.line.Serves
	}
	return ""
}

func under(p string, parts []string) bool {
	for _, q := range parts {
		if q == p || strings.HasPrefix(q, p+"/") {
			return true
		}
	}
	return false
}
