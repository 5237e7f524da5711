// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto/x509"
	"slices"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// LeafUsage checks what X509-SVID asks of a leaf beyond its name: it is no CA,
// it may sign handshakes and nothing else, and it serves both roles.
var LeafUsage = probe.DefineOn(probe.Meta{
	ID:      "identity/leaf-usage",
	Title:   "a workload's certificate is a leaf for both ends of TLS",
	About:   "X509-SVID §4: CA flag false, key usage present and critical with digitalSignature and without keyCertSign and cRLSign, extended key usage (where present) with both serverAuth and clientAuth.",
	Clause:  spec.X509LeafValidation,
	Causes:  cause.Chains(verifier.CauseLeafIsCA, verifier.CauseKeyUsage, verifier.CauseEKU),
	After:   []string{"ca/istiod-serves-cacerts", "trust/root-configmap"},
	Applies: "mesh workloads that serve a port or take HBONE",
}, seen.Presented(), renewed(judgeLeafUsage))

func judgeLeafUsage(o seen.Workload) []probe.Finding {
	leaf, f := leafOf(o)
	if leaf == nil {
		return []probe.Finding{f}
	}
	chain := seen.ChainEvidence("chain of "+o.Workload.String(), o.Handshake.Chain, o.At)
	fail := func(code string, c spec.Clause, want, got string) []probe.Finding {
		return []probe.Finding{probe.Failing(cause.Chain(code), probe.WantGot("leaf of "+o.Workload.String(), want, got), probe.Text("rule", c.String()+": "+c.Quote), chain)}
	}
	const signs = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	switch {
	case leaf.IsCA:
		return fail(verifier.CauseLeafIsCA, spec.X509CAFlag, "CA:FALSE", "CA:TRUE")
	case leaf.KeyUsage&signs != 0:
		return fail(verifier.CauseKeyUsage, spec.X509LeafNoCertSign, "no keyCertSign, no cRLSign", "it may sign certificates or CRLs")
	case leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return fail(verifier.CauseKeyUsage, spec.X509LeafDigitalSignature, "digitalSignature", "key usage without it")
	case !critical(leaf, oidKeyUsage):
		return fail(verifier.CauseKeyUsage, spec.X509KeyUsagePresent, "key usage, critical", "key usage not critical")
	case len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 && !bothRoles(leaf):
		return fail(verifier.CauseEKU, spec.X509EKUBoth, "serverAuth and clientAuth", "one of them is missing")
	}
	return []probe.Finding{probe.Passing(probe.Text("leaf of "+o.Workload.String(), seen.Describe(leaf, o.At)))}
}

func bothRoles(leaf *x509.Certificate) bool {
	has := func(u x509.ExtKeyUsage) bool {
		return slices.Contains(leaf.ExtKeyUsage, u) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
	}
	return has(x509.ExtKeyUsageServerAuth) && has(x509.ExtKeyUsageClientAuth)
}
