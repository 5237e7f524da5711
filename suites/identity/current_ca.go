// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto/x509"
	"time"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// CurrentCA checks that a workload's leaf was issued by the CA that the
// cluster has now. A leaf of the previous one is legitimate until it is due
// for renewal, as long as its chain still ends in a root that is trusted.
var CurrentCA = probe.DefineOn(probe.Meta{
	ID:      "identity/current-ca",
	Title:   "a workload's certificate was issued by the cluster's current CA",
	About:   "The leaf's signature is checked against ca-cert.pem in force. An older leaf is Pending until half of its life is over, when the workload renews it, and a failure where its root is not trusted any more.",
	Clause:  spec.IstioLeafTrusted,
	Causes:  []probe.Cause{causeStaleLeaf},
	After:   []string{"ca/istiod-serves-cacerts", "trust/root-configmap"},
	Applies: "mesh workloads that serve a port or take HBONE",
}, seen.Presented(), renewed(judgeCurrentCA))

var causeStaleLeaf = probe.Cause{
	Code: "workload-stale-leaf", Title: "the workload still presents a certificate of the CA that its cluster had before",
	Try: []string{"kubectl --context {{.Cluster}} -n {{.Namespace}} rollout restart deployment"},
}

func judgeCurrentCA(o seen.Workload) []probe.Finding {
	leaf, f := leafOf(o)
	if leaf == nil {
		return []probe.Finding{f}
	}
	signer := o.Signer.Leaf()
	if signer == nil {
		return []probe.Finding{probe.Skipping("the cluster's CA certificate is not known")}
	}
	if verifier.Signed(leaf, signer) {
		return []probe.Finding{probe.Passing(probe.Text("issued by", seen.Describe(signer, o.At)))}
	}
	return []probe.Finding{staleLeaf(o, leaf, signer, "chain presented")}
}

// staleLeaf is the finding on a leaf of another CA than signer.
func staleLeaf(o seen.Workload, leaf, signer *x509.Certificate, chain string) probe.Finding {
	issuer := probe.WantGot("issuer of the leaf of "+o.Workload.String(), seen.Describe(signer, o.At), issuerOf(o, leaf))
	shown := seen.ChainEvidence(chain, o.Handshake.Chain, o.At)
	if due := renewal(leaf); o.At.Before(due) && rooted(o) {
		return probe.Pend(causeStaleLeaf, due, issuer, shown)
	}
	return probe.Failing(causeStaleLeaf, issuer, shown)
}

func issuerOf(o seen.Workload, leaf *x509.Certificate) string {
	for _, c := range o.Handshake.Chain.Parsed()[1:] {
		if verifier.Signed(leaf, c) {
			return seen.Describe(c, o.At)
		}
	}
	return seen.Name(leaf.Issuer.String()) + ", not among the certificates presented"
}

// renewal is when an Istio workload renews its certificate: at half of its
// life (SECRET_GRACE_PERIOD_RATIO 0.5; ztunnel refresh_at).
func renewal(leaf *x509.Certificate) time.Time {
	return leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2)
}

// rooted says whether the chain ends in a root that the cluster still trusts.
func rooted(o seen.Workload) bool {
	pool := x509.NewCertPool()
	for _, r := range o.Roots.Parsed() {
		pool.AddCert(r)
	}
	chain := o.Handshake.Chain.Parsed()
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: pool, Intermediates: between, CurrentTime: o.At, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err == nil
}
