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

// SignedByRoot checks that the root which the cluster hands out is a root, and
// the one that vouches for the cluster's signing certificate.
var SignedByRoot = probe.DefineOn(probe.Meta{
	ID:      "ca/signed-by-root",
	Title:   "the root in cacerts is self-signed and vouches for the signing certificate",
	About:   "Signature by signature, ca-cert.pem leads through cert-chain.pem to a certificate of root-cert.pem, which is self-signed. Names are not looked at: they may be equal where keys are not.",
	Clause:  spec.IstioCACertsChain,
	Causes:  append([]probe.Cause{causeChainInvalid}, cause.Chains(verifier.CauseRootIntermediate, verifier.CausePathLen)...),
	After:   []string{"ca/cacerts-complete", "ca/is-ca"},
	Applies: "clusters",
}, seen.Authorities(), judgeSignedByRoot)

var causeChainInvalid = probe.Cause{
	Code: "cacerts-chain-invalid", Title: "the files in cacerts do not fit together: the signing certificate does not lead to root-cert.pem",
	Try: []string{
		"write the root that issued ca-cert.pem into root-cert.pem of cacerts, and every certificate between them into cert-chain.pem",
		"or issue a new intermediate: " + refederate,
		showCACert,
	},
}

func judgeSignedByRoot(a seen.Authority) []probe.Finding {
	s, cert, f := plugged(a)
	if cert == nil {
		return []probe.Finding{f}
	}
	way, ok := path(s)
	top := way[len(way)-1]
	evidence := files(s, a.At)
	switch {
	case !ok && hasIntermediate(s.Root.Parsed()):
		return []probe.Finding{probe.Failing(cause.Chain(verifier.CauseRootIntermediate),
			probe.WantGot("root-cert.pem of "+a.Cluster, "the self-signed root above "+seen.Subject(cert), s.Root.Describe(a.At)), evidence...)}
	case !ok:
		return []probe.Finding{probe.Failing(causeChainInvalid,
			probe.WantGot("issuer of "+seen.Subject(top)+" in "+a.Cluster, "the key that signed it, in root-cert.pem or cert-chain.pem",
				"no certificate there has that key; its name is "+seen.Name(top.Issuer.String())), evidence...)}
	case !verifier.SelfSigned(top):
		return []probe.Finding{probe.Failing(cause.Chain(verifier.CauseRootIntermediate),
			probe.WantGot("root-cert.pem of "+a.Cluster, "a self-signed root", seen.Describe(top, a.At)), evidence...)}
	}
	for below, c := range way {
		if c.MaxPathLen >= 0 && (c.MaxPathLen > 0 || c.MaxPathLenZero) && below > c.MaxPathLen {
			return []probe.Finding{probe.Failing(cause.Chain(verifier.CausePathLen),
				probe.WantGot("CAs below "+seen.Subject(c), fmt.Sprintf("at most %d, its path length", c.MaxPathLen), fmt.Sprint(below)), evidence...)}
		}
	}
	return []probe.Finding{probe.Passing(evidence...)}
}

func hasIntermediate(roots []*x509.Certificate) bool {
	return find(roots, func(c *x509.Certificate) bool { return !verifier.SelfSigned(c) }) != nil
}
