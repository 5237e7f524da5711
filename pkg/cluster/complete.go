// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"
)

// complete fills in the defaults and checks the whole. doc, where there is
// one, gives lines to the errors.
func (t Topology) complete(doc *yaml.Node) (Topology, error) {
	if t.Version != TopologyVersion {
		return t, &TopologyError{Line: lineOf(doc, "version"), Msg: fmt.Sprintf("version is %q", t.Version), Hint: "write version: " + TopologyVersion}
	}
	if n := len(t.Clusters); n < 2 || n > MaxClusters {
		return t, &TopologyError{
			Line: lineOf(doc, "clusters"), Msg: fmt.Sprintf("%d clusters; trust across clusters needs 2 to %d", n, MaxClusters),
			Hint: fmt.Sprintf("name 2 to %d clusters", MaxClusters),
		}
	}
	t.Mesh.TrustDomain = cmp.Or(t.Mesh.TrustDomain, "cluster.local")
	seen := map[string]int{}
	for i := range t.Clusters {
		c := &t.Clusters[i]
		line := lineOf(doc, "clusters", i)
		if first, dup := seen[c.Name]; dup {
			return t, &TopologyError{Line: line, Msg: fmt.Sprintf("cluster name %q is used twice (clusters %d and %d)", c.Name, first+1, i+1), Hint: "give each cluster a name of its own"}
		}
		seen[c.Name] = i
		if c.Namespaces == nil {
			c.Namespaces = bookinfo(i, len(t.Clusters))
		}
		if err := c.complete(t.Mesh, line); err != nil {
			return t, err
		}
	}
	if err := t.checkRoot(lineOf(doc, "mesh")); err != nil {
		return t, err
	}
	if len(t.Edges) == 0 {
		t.Edges = t.derivedEdges()
	}
	for i := range t.Edges {
		if err := t.checkEdge(&t.Edges[i], lineOf(doc, "edges", i)); err != nil {
			return t, err
		}
	}
	return t, nil
}

func (c *ClusterSpec) complete(m Mesh, line int) error {
	if problems := validation.IsDNS1123Label(c.Name); len(problems) > 0 {
		return &TopologyError{Line: line, Msg: fmt.Sprintf("cluster name %q: %s", c.Name, problems[0]), Hint: "use lower case letters, digits and -"}
	}
	c.Network = cmp.Or(c.Network, c.Name)
	c.TrustDomain = cmp.Or(c.TrustDomain, m.TrustDomain)
	seen := map[string]bool{}
	for i := range c.Namespaces {
		ns := &c.Namespaces[i]
		if problems := validation.IsDNS1123Label(ns.Name); len(problems) > 0 {
			return &TopologyError{Line: line, Msg: fmt.Sprintf("cluster %q: namespace %q: %s", c.Name, ns.Name, problems[0])}
		}
		if seen[ns.Name] {
			return &TopologyError{Line: line, Msg: fmt.Sprintf("cluster %q: namespace %q is there twice", c.Name, ns.Name), Hint: "list its workloads under one entry"}
		}
		seen[ns.Name] = true
		if err := ns.complete(c.Name, line); err != nil {
			return err
		}
	}
	return nil
}

func (ns *NamespaceSpec) complete(clusterName string, line int) error {
	ns.MTLS = cmp.Or(ns.MTLS, Strict)
	where := clusterName + "/" + ns.Name
	if err := oneOf(line, where+": mtls", ns.MTLS, Strict, Permissive, Disable); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := range ns.Workloads {
		w := &ns.Workloads[i]
		if problems := validation.IsDNS1123Label(w.Name); len(problems) > 0 {
			return &TopologyError{Line: line, Msg: fmt.Sprintf("%s: workload %q: %s", where, w.Name, problems[0])}
		}
		if seen[w.Name] {
			return &TopologyError{Line: line, Msg: fmt.Sprintf("%s: workload %q is there twice", where, w.Name), Hint: "give each workload a name of its own"}
		}
		seen[w.Name] = true
		w.ServiceAccount = cmp.Or(w.ServiceAccount, w.Name)
		w.DataPlane = cmp.Or(w.DataPlane, Sidecar)
		w.MTLS = cmp.Or(w.MTLS, ns.MTLS)
		if err := oneOf(line, where+"/"+w.Name+": dataPlane", w.DataPlane, Sidecar, Ambient, NoMesh); err != nil {
			return err
		}
		if err := oneOf(line, where+"/"+w.Name+": mtls", w.MTLS, Strict, Permissive, Disable); err != nil {
			return err
		}
		if s := w.Service; s != nil {
			s.Name, s.Port, s.Protocol = cmp.Or(s.Name, w.Name), cmp.Or(s.Port, 9080), cmp.Or(s.Protocol, "http")
			if err := oneOf(line, where+"/"+w.Name+": service.protocol", s.Protocol, "http", "tcp", "auto"); err != nil {
				return err
			}
		}
	}
	return ns.checkProxies(where, line)
}

func oneOf[T ~string](line int, field string, got T, want ...T) error {
	if slices.Contains(want, got) {
		return nil
	}
	names := make([]string, len(want))
	for i, w := range want {
		names[i] = string(w)
	}
	return &TopologyError{Line: line, Msg: fmt.Sprintf("%s is %q, not one of %v", field, got, names), Hint: DidYouMean(string(got), names)}
}

func (t Topology) checkRoot(line int) error {
	r := t.Mesh.Root
	if r.KeyType != "" {
		if err := oneOf(line, "mesh.root.keyType", r.KeyType, "rsa", "ecdsa-p256", "ecdsa-p384"); err != nil {
			return err
		}
	}
	if r.TTL < 0 {
		return &TopologyError{Line: line, Msg: "mesh.root.ttl is negative", Hint: "write it as 8760h"}
	}
	if r.KeySize != 0 && (r.KeySize < 2048 || r.KeySize > 8192) {
		return &TopologyError{Line: line, Msg: fmt.Sprintf("mesh.root.keySize is %d", r.KeySize), Hint: "RSA keys of 2048 to 8192 bits; ztunnel refuses shorter ones"}
	}
	return nil
}

// lineOf walks a document to a node: a string is a key, an int an index.
func lineOf(doc *yaml.Node, path ...any) int {
	if doc == nil {
		return 0
	}
	n := doc
	if n.Kind == yaml.DocumentNode {
		n = n.Content[0]
	}
	for _, p := range path {
		next := child(n, p)
		if next == nil {
			break
		}
		n = next
	}
	return n.Line
}

func child(n *yaml.Node, p any) *yaml.Node {
	switch p := p.(type) {
	case int:
		if n.Kind == yaml.SequenceNode && p < len(n.Content) {
			return n.Content[p]
		}
	case string:
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == p {
				return n.Content[i+1]
			}
		}
	}
	return nil
}
