// SPDX-License-Identifier: Apache-2.0

package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// complete fills a topology with what was found, and says what was not.
func complete(ctx context.Context, t cluster.Topology, attached []*Cluster, events cluster.Events) (cluster.Topology, error) {
	specs := make([]cluster.ClusterSpec, len(t.Clusters))
	seen := map[string]string{}
	for i, c := range attached {
		specs[i] = t.Clusters[i]
		specs[i].Name, specs[i].Network = c.facts.Name, c.facts.Network
		// What is asked for; what the cluster is configured with may differ.
		specs[i].TrustDomain = cmp.Or(c.config.Spec.TrustDomain, c.facts.TrustDomain)
		if other, dup := seen[c.facts.Name]; dup {
			return t, &ContextError{
				Msg:  fmt.Sprintf("the contexts %q and %q both lead to a cluster that calls itself %q", other, c.config.name(), c.facts.Name),
				Hint: fmt.Sprintf("give each its own name (istiod's CLUSTER_ID), or say: --cluster-name %s=NAME", c.config.name()),
			}
		}
		seen[c.facts.Name] = c.config.name()
	}
	t.Clusters = specs
	if len(t.Edges) > 0 {
		return t, nil
	}
	workloads := make([][]cluster.Workload, len(attached))
	for i, c := range attached {
		ws, err := c.Workloads(ctx)
		if _, ok := errors.AsType[*cluster.DeniedError](err); err != nil && !ok {
			return t, fmt.Errorf("workloads of %s: %w", c.Name(), err)
		}
		workloads[i] = ws
	}
	for _, from := range workloads {
		for _, to := range workloads {
			for _, dp := range []cluster.DataPlane{cluster.Sidecar, cluster.Ambient} {
				if e, ok := derive(from, to, dp); ok {
					t.Edges = append(t.Edges, e)
				}
			}
		}
	}
	tellUntried(events, attached, workloads, t.Edges)
	return t, nil
}

// derive finds a call that the mesh ought to carry: to the first service of the
// destination, one that takes mutual TLS where there is one, from a workload of the
// same data plane, one that is not itself behind that service where there is one. A sidecar that takes HBONE is also called
// by ambient workloads, where the destination has nothing ambient: its Envoy does
// not know the service by the name with which calls of other networks ask for it.
func derive(from, to []cluster.Workload, dp cluster.DataPlane) (cluster.Edge, bool) {
	if len(from) == 0 || len(to) == 0 || from[0].Cluster == to[0].Cluster {
		return cluster.Edge{}, false
	}
	serves := func(w cluster.Workload) bool { return w.Service != nil && w.MTLS != cluster.Disable }
	i := slices.IndexFunc(to, func(w cluster.Workload) bool { return serves(w) && w.DataPlane == dp })
	if i < 0 && dp == cluster.Ambient {
		i = slices.IndexFunc(to, func(w cluster.Workload) bool { return serves(w) && w.HBONE })
	}
	if i < 0 {
		// Nobody reaches it from another network: that is to be said, not passed over.
		i = slices.IndexFunc(to, func(w cluster.Workload) bool { return w.Service != nil && w.DataPlane == dp })
	}
	if i < 0 {
		return cluster.Edge{}, false
	}
	dst := to[i]
	src := caller(from, dst, dp)
	if src == nil {
		return cluster.Edge{}, false
	}
	return cluster.Edge{
		From:      cluster.Ref{Cluster: src.Cluster, Namespace: src.Namespace, Name: src.ServiceAccount},
		To:        cluster.Ref{Cluster: dst.Cluster, Namespace: dst.Namespace, Name: dst.Service.Name},
		DataPlane: dp,
	}, true
}

// tellUntried says between which clusters no call can be tried, and why.
func tellUntried(events cluster.Events, attached []*Cluster, workloads [][]cluster.Workload, edges []cluster.Edge) {
	for i, from := range attached {
		for j, to := range attached {
			tried := slices.ContainsFunc(edges, func(e cluster.Edge) bool { return e.From.Cluster == from.Name() && e.To.Cluster == to.Name() })
			if i == j || tried {
				continue
			}
			detail := "no call to " + to.Name() + " can be tried: " + untried(workloads[i], workloads[j])
			events.Emit(cluster.Event{Time: from.now(), Cluster: from.Name(), Step: "found", Detail: detail})
		}
	}
}

// untried says why derive found no call of any data plane.
func untried(from, to []cluster.Workload) string {
	meshed := func(w cluster.Workload) bool { return w.DataPlane != cluster.NoMesh }
	served := func(w cluster.Workload) bool { return meshed(w) && w.Service != nil }
	switch {
	case !slices.ContainsFunc(from, meshed):
		return "no pod here is in the mesh"
	case !slices.ContainsFunc(to, served):
		return "no service there has pods in the mesh"
	default:
		return "no service there has pods of a data plane that pods here are of"
	}
}

// caller is the best source of a call to dst: in its namespace, of another
// service, of the same data plane.
func caller(from []cluster.Workload, dst cluster.Workload, dp cluster.DataPlane) *cluster.Workload {
	var best *cluster.Workload
	score := -1
	for i, w := range from {
		if w.DataPlane != dp {
			continue // a sidecar calls other networks through 15443, also where it takes HBONE
		}
		s := 0
		if w.Service == nil || w.Service.Host != dst.Service.Host {
			s += 2
		}
		if w.Namespace == dst.Namespace {
			s++
		}
		if s > score {
			best, score = &from[i], s
		}
	}
	return best
}

// tell says what was found, before anything is judged.
func (c *Cluster) tell(ctx context.Context, events cluster.Events) {
	f := c.facts
	detail := []string{"context " + f.Context, "network " + orNone(f.Network), "trust domain " + strings.Join(append([]string{f.TrustDomain}, f.TrustDomainAliases...), ", ")}
	version := strings.TrimSpace("istiod " + f.Version)
	detail = append(detail, version+" (revision "+f.Revision+") in "+f.RootNamespace)
	if len(f.Revisions) > 1 {
		detail = append(detail, "revisions there: "+strings.Join(f.Revisions, ", "))
	}
	if ws, err := c.Workloads(ctx); err == nil {
		detail = append(detail, counted(ws))
	}
	if len(f.Denied) > 0 {
		detail = append(detail, "may not: "+strings.Join(f.Denied, ", "))
	}
	if len(f.Assumed) > 0 {
		detail = append(detail, "assumed: "+strings.Join(f.Assumed, "; "))
	}
	events.Emit(cluster.Event{Time: c.now(), Cluster: f.Name, Step: "found", Detail: strings.Join(detail, ", ")})
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func counted(ws []cluster.Workload) string {
	sidecars, ambient, hbone := 0, 0, 0
	for _, w := range ws {
		switch w.DataPlane {
		case cluster.Ambient:
			ambient++
		case cluster.Sidecar:
			sidecars++
		case cluster.NoMesh:
		}
		if w.HBONE {
			hbone++
		}
	}
	return fmt.Sprintf("workloads: %d with sidecars (%d of them take HBONE), %d ambient", sidecars, hbone, ambient)
}
