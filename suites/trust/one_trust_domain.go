// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"iter"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// OneTrustDomain checks that clusters which call each other over ambient share
// one trust domain: no alias ever reaches ztunnel.
var OneTrustDomain = probe.Define(probe.Meta{
	ID:      "trust/one-trust-domain",
	Title:   "clusters that call each other over ambient share one trust domain",
	About:   "ztunnel admits the trust domain of its own certificate and no other, and expects it of every peer; trustDomainAliases are for sidecars and gateways only.",
	Clause:  spec.HBONEOneTrustDomain,
	Causes:  cause.Chains(verifier.CauseTrustDomainAmbient),
	After:   []string{"trust/trust-domain"},
	Applies: "ambient edges between clusters",
}, ambientPairs, observeOneTrustDomain, judgeOneTrustDomain)

// trustDomainsSeen is the trust domains of two clusters, and one of the ambient
// calls between them.
type trustDomainsSeen struct {
	At   time.Time    `json:"at"`
	A    clusterTrust `json:"a"`
	B    clusterTrust `json:"b"`
	Edge string       `json:"edge"`
}

func ambientPairs(env *probe.Env) iter.Seq[cluster.Pair] {
	return func(yield func(cluster.Pair) bool) {
		for p := range probe.Pairs(env) {
			if _, ok := ambientEdge(env, p); ok && !yield(p) {
				return
			}
		}
	}
}

func ambientEdge(env *probe.Env, p cluster.Pair) (cluster.Edge, bool) {
	a, b := p.A.Name(), p.B.Name()
	for e := range probe.Edges(cluster.Ambient)(env) {
		if from, to := e.From.Cluster, e.To.Cluster; from == a && to == b || from == b && to == a {
			return e, true
		}
	}
	return cluster.Edge{}, false
}

func observeOneTrustDomain(_ context.Context, env *probe.Env, p cluster.Pair) (trustDomainsSeen, error) {
	edge, _ := ambientEdge(env, p)
	return trustDomainsSeen{
		At: env.Now(), Edge: edge.String(),
		A: clusterTrust{Cluster: p.A.Name(), Trust: seen.TrustDomains(p.A)},
		B: clusterTrust{Cluster: p.B.Name(), Trust: seen.TrustDomains(p.B)},
	}, nil
}

func judgeOneTrustDomain(o trustDomainsSeen) []probe.Finding {
	if len(o.A.Trust) == 0 || len(o.B.Trust) == 0 {
		return []probe.Finding{probe.Skipping("the trust domain of a cluster is not known")}
	}
	evidence := probe.WantGot("trust domain of "+o.B.Cluster, o.A.Trust[0]+", that of "+o.A.Cluster, o.B.Trust[0])
	if o.A.Trust[0] != o.B.Trust[0] {
		return []probe.Finding{probe.Failing(cause.Chain(verifier.CauseTrustDomainAmbient), evidence, probe.Text("ambient call between them", o.Edge))}
	}
	return []probe.Finding{probe.Passing(evidence)}
}
