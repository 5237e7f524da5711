// SPDX-License-Identifier: Apache-2.0

package ca

import (
	"crypto/x509"
	"fmt"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// ChainOrder checks what istiod appends to every leaf: cert-chain.pem as it
// stands.
var ChainOrder = probe.DefineOn(probe.Meta{
	ID:      "ca/chain-order",
	Title:   "cert-chain.pem leads from the signing certificate to the root, in order",
	About:   "Workloads send their leaf followed by cert-chain.pem as it stands. It begins with the certificate of ca-cert.pem, each certificate is followed by its issuer, and a root in it is one of root-cert.pem. The same root twice does no harm.",
	Clause:  spec.IstioCACertsChain,
	Causes:  append([]probe.Cause{causeOrder, causeOtherRoot}, cause.Chains(verifier.CauseIntermediateUnsent, verifier.CauseWrongIntermediate)...),
	After:   []string{"ca/cacerts-complete", "ca/signed-by-root"},
	Applies: "clusters",
}, seen.Authorities(), judgeChainOrder)

var causeOrder = probe.Cause{
	Code: "cacerts-chain-order", Title: "cert-chain.pem holds the right certificates in the wrong order",
	Try: []string{putChain, restartIstiod},
}

var causeOtherRoot = probe.Cause{
	Code: "cacerts-chain-invalid", Title: "cert-chain.pem ends in another root than root-cert.pem holds",
	Try: []string{"put the root of root-cert.pem at the end of cert-chain.pem, or no root at all", showChain, restartIstiod},
}

func judgeChainOrder(a seen.Authority) []probe.Finding {
	s, cert, f := plugged(a)
	if cert == nil {
		return []probe.Finding{f}
	}
	chain := s.Chain.Parsed()
	if c, want, got := orderProblem(cert, chain, s.Root.Parsed()); c.Code != "" {
		return []probe.Finding{probe.Failing(c, probe.WantGot("cert-chain.pem of "+a.Cluster, want, got), files(s, a.At)...)}
	}
	return []probe.Finding{probe.Passing(seen.ChainEvidence("cert-chain.pem", s.Chain, a.At))}
}

func orderProblem(cert *x509.Certificate, chain, roots []*x509.Certificate) (c probe.Cause, want, got string) {
	first := "first " + seen.Subject(cert) + ", key " + seen.ShortKey(cert)
	isSigner := func(c *x509.Certificate) bool { return sameKey(c, cert) }
	isIntermediate := func(c *x509.Certificate) bool { return !verifier.SelfSigned(c) }
	switch {
	case len(chain) > 0 && isSigner(chain[0]):
	case find(chain, isSigner) != nil:
		return causeOrder, first, "it comes later"
	case find(chain, isIntermediate) != nil:
		return cause.Chain(verifier.CauseWrongIntermediate), first, "it is not there, but another intermediate is"
	default:
		return cause.Chain(verifier.CauseIntermediateUnsent), first, "it is not there"
	}
	for i, c := range chain[1:] {
		before := chain[i]
		switch {
		case verifier.SelfSigned(c) && find(roots, func(r *x509.Certificate) bool { return sameKey(r, c) }) == nil:
			return causeOtherRoot, "no root but those of root-cert.pem", fmt.Sprintf("certificate %d is %s, key %s", i+2, seen.Subject(c), seen.ShortKey(c))
		case !sameKey(c, before) && !verifier.Signed(before, c):
			return causeOrder, "each certificate followed by its issuer", fmt.Sprintf("certificate %d did not sign certificate %d", i+2, i+1)
		}
	}
	return probe.Cause{}, "", ""
}
