// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// SharedRoot checks that two clusters trust one root, compared by public key:
// Istio's defaults give every cluster a root of the same name.
var SharedRoot = probe.Define(probe.Meta{
	ID:     "trust/shared-root",
	Title:  "both clusters trust one shared root, by key",
	About:  "The trust anchors that each cluster hands to its workloads (istio-ca-root-cert) are compared by public key, never by name, and must have one self-signed root in common.",
	Clause: spec.IstioSharedRoot,
	Causes: cause.Chains(verifier.CauseRootSameDN, verifier.CauseRootDistinctDN, verifier.CauseRootIntermediate),
	After:  []string{"ca/not-self-signed", "ca/signed-by-root", "ca/istiod-serves-cacerts", "trust/root-configmap"},

	Applies: "pairs of clusters",
}, probe.Pairs, observeRoots, judgeRoots)

// rootsSeen is what two clusters trust.
type rootsSeen struct {
	At time.Time   `json:"at"`
	A  clusterRoot `json:"a"`
	B  clusterRoot `json:"b"`
}

type clusterRoot struct {
	Cluster string     `json:"cluster"`
	Roots   seen.Certs `json:"roots"`
}

func observeRoots(ctx context.Context, env *probe.Env, p cluster.Pair) (rootsSeen, error) {
	o := rootsSeen{At: env.Now(), A: clusterRoot{Cluster: p.A.Name()}, B: clusterRoot{Cluster: p.B.Name()}}
	var err error
	if o.A.Roots, err = seen.Bundle(ctx, p.A, cluster.ControlPlaneOf(p.A).Namespace()); err != nil {
		return o, err
	}
	o.B.Roots, err = seen.Bundle(ctx, p.B, cluster.ControlPlaneOf(p.B).Namespace())
	return o, err
}

func judgeRoots(o rootsSeen) []probe.Finding {
	a, b := o.A.Roots.Parsed(), o.B.Roots.Parsed()
	evidence := probe.WantGot("roots of "+o.B.Cluster,
		"a key in common with "+o.A.Cluster+":\n"+o.A.Roots.Describe(o.At), o.B.Roots.Describe(o.At)).As(probe.KindBundle)
	shared := sharedRoots(a, b)
	for _, c := range shared {
		if verifier.SelfSigned(c) {
			return []probe.Finding{probe.Passing(probe.Text("shared root", seen.Describe(c, o.At)))}
		}
	}
	switch {
	case len(shared) > 0 || anyIntermediate(a) || anyIntermediate(b):
		return []probe.Finding{probe.Failing(cause.Chain(verifier.CauseRootIntermediate), evidence)}
	case len(verifier.SameDNOtherKey(a, b)) > 0:
		pair := verifier.SameDNOtherKey(a, b)[0]
		return []probe.Finding{probe.Failing(cause.Chain(verifier.CauseRootSameDN), evidence,
			probe.Text("same name, two keys", fmt.Sprintf("%s: %s in %s, %s in %s", seen.Name(pair.A.Subject.String()),
				seen.ShortKey(pair.A), o.A.Cluster, seen.ShortKey(pair.B), o.B.Cluster)))}
	default:
		return []probe.Finding{probe.Failing(cause.Chain(verifier.CauseRootDistinctDN), evidence)}
	}
}

func sharedRoots(a, b []*x509.Certificate) []*x509.Certificate {
	keys := map[string]bool{}
	for _, c := range a {
		keys[verifier.SPKI(c)] = true
	}
	var shared []*x509.Certificate
	for _, c := range b {
		if keys[verifier.SPKI(c)] {
			shared = append(shared, c)
		}
	}
	return shared
}

func anyIntermediate(certs []*x509.Certificate) bool {
	for _, c := range certs {
		if !verifier.SelfSigned(c) {
			return true
		}
	}
	return false
}
