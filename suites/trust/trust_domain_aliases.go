// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// TrustDomainAliases checks that two clusters of different trust domains name
// each other: sidecars refuse a trust domain that they do not know, however
// good the chain.
var TrustDomainAliases = probe.Define(probe.Meta{
	ID:      "trust/trust-domain-aliases",
	Title:   "each cluster's trust domain or aliases admit the other's",
	About:   "The trust domain of each cluster is the other's own or one of its meshConfig.trustDomainAliases, in both directions. Sidecars and gateways look at it after the chain, and answer certificate_unknown where it does not fit.",
	Clause:  spec.IstioTrustDomainAliases,
	Causes:  cause.Chains(verifier.CauseTrustDomainSidecar),
	After:   []string{"trust/trust-domain"},
	Applies: "pairs of clusters",
}, probe.Pairs, observeAliases, judgeAliases)

// aliasesSeen is whom two clusters admit.
type aliasesSeen struct {
	At time.Time    `json:"at"`
	A  clusterTrust `json:"a"`
	B  clusterTrust `json:"b"`
}

type clusterTrust struct {
	Cluster string   `json:"cluster"`
	Trust   []string `json:"trust"` // trust domain, then aliases
}

func observeAliases(ctx context.Context, env *probe.Env, p cluster.Pair) (aliasesSeen, error) {
	o := aliasesSeen{
		At: env.Now(),
		A:  clusterTrust{Cluster: p.A.Name(), Trust: seen.TrustDomains(p.A)},
		B:  clusterTrust{Cluster: p.B.Name(), Trust: seen.TrustDomains(p.B)},
	}
	if p.A.TrustDomain() == p.B.TrustDomain() {
		return o, nil // trust/trust-domain holds both to it; no alias is needed
	}
	var err error
	if o.A, err = trustOf(ctx, p.A); err != nil {
		return o, err
	}
	o.B, err = trustOf(ctx, p.B)
	return o, err
}

// trustOf is what the control plane is configured with, else what the topology
// says.
func trustOf(ctx context.Context, c cluster.Cluster) (clusterTrust, error) {
	t := clusterTrust{Cluster: c.Name(), Trust: seen.TrustDomains(c)}
	config, err := seen.ReadMeshConfig(ctx, c)
	if errors.Is(err, seen.ErrNoKube) {
		return t, nil // the topology's word is all there is
	}
	if err == nil && config.Found && config.Error == "" {
		t.Trust = config.Trust()
	}
	return t, err
}

func judgeAliases(o aliasesSeen) []probe.Finding {
	var passed, missing []probe.Evidence
	at := ""
	for _, side := range [][2]clusterTrust{{o.A, o.B}, {o.B, o.A}} {
		own, other := side[0], side[1]
		if len(other.Trust) == 0 {
			return []probe.Finding{probe.Skipping("the trust domain of a cluster is not known")}
		}
		e := probe.WantGot("trust domains that "+own.Cluster+" admits", other.Trust[0]+", of "+other.Cluster, strings.Join(own.Trust, ", ")).As(probe.KindObject)
		if slices.Contains(own.Trust, other.Trust[0]) {
			passed = append(passed, e)
			continue
		}
		if at == "" {
			at = own.Cluster
		}
		missing = append(missing, e)
	}
	if len(missing) > 0 {
		return []probe.Finding{probe.Failing(cause.Chain(verifier.CauseTrustDomainSidecar), missing[0], missing[1:]...).With("Cluster", at)}
	}
	return []probe.Finding{probe.Passing(passed...)}
}
