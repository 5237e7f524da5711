// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"

	"go.yaml.in/yaml/v3"
)

// completeOpen checks a topology of clusters that are there already, and fills
// in only what nobody could find out by attaching to them.
func (t Topology) completeOpen(doc *yaml.Node) (Topology, error) {
	asked := make([]ClusterSpec, len(t.Clusters))
	copy(asked, t.Clusters)
	known := map[string]bool{} // clusters whose workloads the file lists
	for i := range t.Clusters {
		known[t.Clusters[i].Name] = t.Clusters[i].Namespaces != nil
		if t.Clusters[i].Namespaces == nil {
			t.Clusters[i].Namespaces = []NamespaceSpec{}
		}
	}
	edges := t.Edges
	t.Edges = nil
	domain := t.Mesh.TrustDomain
	t, err := t.complete(doc)
	if err != nil {
		return t, err
	}
	t.Edges = nil
	for i, e := range edges {
		line := lineOf(doc, "edges", i)
		for _, end := range []Ref{e.From, e.To} {
			if _, there := t.Spec(end.Cluster); !there {
				return t, t.noCluster(end.Cluster, line)
			}
		}
		if known[e.From.Cluster] && known[e.To.Cluster] {
			if err := t.checkEdge(&e, line); err != nil {
				return t, err
			}
		}
		e.DataPlane = cmp.Or(e.DataPlane, Sidecar)
		if err := oneOf(line, "dataPlane", e.DataPlane, Sidecar, Ambient, NoMesh); err != nil {
			return t, err
		}
		t.Edges = append(t.Edges, e)
	}
	t.Mesh.TrustDomain = domain
	for i := range t.Clusters {
		c := &t.Clusters[i]
		c.Network, c.TrustDomain = asked[i].Network, cmp.Or(asked[i].TrustDomain, domain)
		c.Context = cmp.Or(c.Context, c.Name)
		if !known[c.Name] {
			c.Namespaces = nil
		}
	}
	return t, nil
}
