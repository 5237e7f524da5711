// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"slices"
)

// derivedEdges makes one edge per ordered pair of clusters and data plane:
// to the last service of that data plane in the destination, from the first
// service account of the source that serves something else (or any).
func (t Topology) derivedEdges() []Edge {
	var edges []Edge
	for _, from := range t.Clusters {
		for _, to := range t.Clusters {
			if from.Name == to.Name {
				continue
			}
			for _, dp := range []DataPlane{Sidecar, Ambient} {
				if e, ok := deriveEdge(from, to, dp); ok {
					edges = append(edges, e)
				}
			}
		}
	}
	return edges
}

func deriveEdge(from, to ClusterSpec, dp DataPlane) (Edge, bool) {
	var dst Ref
	for ns, w := range to.workloads() {
		if w.DataPlane == dp && w.Service != nil {
			dst = Ref{to.Name, ns.Name, w.Service.Name}
		}
	}
	var src Ref
	for ns, w := range from.workloads() {
		if w.DataPlane != dp {
			continue
		}
		r := Ref{from.Name, ns.Name, w.ServiceAccount}
		if w.Service == nil || w.Service.Name != dst.Name {
			src = r
			break
		}
		if src == (Ref{}) {
			src = r
		}
	}
	return Edge{From: src, To: dst, DataPlane: dp}, src != (Ref{}) && dst != (Ref{})
}

// workloads yields each workload with its namespace, in order.
func (c ClusterSpec) workloads() func(yield func(NamespaceSpec, WorkloadSpec) bool) {
	return func(yield func(NamespaceSpec, WorkloadSpec) bool) {
		for _, ns := range c.Namespaces {
			for _, w := range ns.Workloads {
				if !yield(ns, w) {
					return
				}
			}
		}
	}
}

// Spec finds a cluster of the topology by name.
func (t Topology) Spec(name string) (ClusterSpec, bool) {
	i := slices.IndexFunc(t.Clusters, func(c ClusterSpec) bool { return c.Name == name })
	if i < 0 {
		return ClusterSpec{}, false
	}
	return t.Clusters[i], true
}

// checkEdge makes sure that both ends exist, and takes the data plane from
// the destination where the edge does not say.
func (t Topology) checkEdge(e *Edge, line int) error {
	if _, err := t.end(e.From, line, "service account", func(w WorkloadSpec) string { return w.ServiceAccount }); err != nil {
		return err
	}
	to, err := t.end(e.To, line, "service", func(w WorkloadSpec) string {
		if w.Service == nil {
			return ""
		}
		return w.Service.Name
	})
	if err != nil {
		return err
	}
	if e.DataPlane == "" {
		e.DataPlane = to.DataPlane
	}
	if e.DataPlane != to.DataPlane {
		return &TopologyError{Line: line, Msg: fmt.Sprintf("dataPlane is %s, but %s is %s", e.DataPlane, e.To, to.DataPlane), Hint: "leave dataPlane out: it follows the service"}
	}
	return nil
}

func (t Topology) end(r Ref, line int, what string, key func(WorkloadSpec) string) (WorkloadSpec, error) {
	c, ok := t.Spec(r.Cluster)
	if !ok {
		return WorkloadSpec{}, t.noCluster(r.Cluster, line)
	}
	var names []string
	for ns, w := range c.workloads() {
		if k := key(w); k != "" {
			full := r.Cluster + "/" + ns.Name + "/" + k
			if full == r.String() {
				return w, nil
			}
			names = append(names, full)
		}
	}
	return WorkloadSpec{}, &TopologyError{Line: line, Msg: fmt.Sprintf("there is no %s %s", what, r), Hint: DidYouMean(r.String(), names)}
}

func (t Topology) noCluster(name string, line int) error {
	names := make([]string, len(t.Clusters))
	for i, c := range t.Clusters {
		names[i] = c.Name
	}
	return &TopologyError{Line: line, Msg: fmt.Sprintf("there is no cluster %q", name), Hint: DidYouMean(name, names)}
}
