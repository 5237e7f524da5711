// SPDX-License-Identifier: Apache-2.0

package ca

import (
	"crypto/x509"
	"slices"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// IsCA checks that the signing certificate may sign, and for both ends of TLS.
var IsCA = probe.DefineOn(probe.Meta{
	ID:      "ca/is-ca",
	Title:   "the signing certificate may sign certificates for both ends of TLS",
	About:   "ca-cert.pem has CA:TRUE, its key usage (where there is one) has keyCertSign, and its extended key usage (where there is one) has serverAuth and clientAuth: verifiers apply it to everything below.",
	Clause:  spec.RFC5280NotACA,
	Causes:  cause.Chains(verifier.CauseNotACA, verifier.CauseNoKeyCertSign, verifier.CauseEKU),
	After:   []string{"ca/cacerts-complete"},
	Applies: "clusters",
}, seen.Authorities(), judgeIsCA)

func judgeIsCA(a seen.Authority) []probe.Finding {
	s, cert, f := plugged(a)
	if cert == nil {
		return []probe.Finding{f}
	}
	fail := func(code, want, got string) []probe.Finding {
		return []probe.Finding{probe.Failing(cause.Chain(code), probe.WantGot("ca-cert.pem of "+a.Cluster, want, got), files(s, a.At)[0])}
	}
	switch {
	case !cert.BasicConstraintsValid || !cert.IsCA:
		return fail(verifier.CauseNotACA, "CA:TRUE", "CA:FALSE")
	case cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return fail(verifier.CauseNoKeyCertSign, "key usage with keyCertSign", "key usage without it")
	case len(cert.ExtKeyUsage)+len(cert.UnknownExtKeyUsage) > 0 && !bothRoles(cert):
		return fail(verifier.CauseEKU, "serverAuth and clientAuth, or no extended key usage", "one of them is missing")
	}
	return []probe.Finding{probe.Passing(files(s, a.At)[0])}
}

// bothRoles does not take anyExtendedKeyUsage for an answer: of the verifiers
// of a mesh, only Go does.
func bothRoles(c *x509.Certificate) bool {
	return slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
}
