// SPDX-License-Identifier: Apache-2.0

package ca

import (
	"crypto/x509"
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// ServingCertificate checks that workloads accept the istiod that they are to be
// certified and configured by: they verify it by the roots of their namespace
// and by its name.
var ServingCertificate = probe.DefineOn(probe.Meta{
	ID:      "ca/serving-certificate",
	Title:   "istiod presents a certificate that workloads accept",
	About:   "The chain that istiod presents on port 15012 verifies against istio-ca-root-cert, as istio-agent and ztunnel verify it: now, for a server, up to one of those roots; and its DNS names hold istiod.istio-system.svc, to which they connect. Who issued it is judged by ca/istiod-serves-cacerts.",
	Clause:  spec.IstioServingCertificate,
	Causes:  append(cause.Chains(servingCauses()...), causeServingName),
	After:   []string{"ca/istiod-serves-cacerts"},
	Applies: "clusters",
}, seen.Authorities(), judgeServingCertificate)

var causeServingName = probe.Cause{
	Code: "istiod-serving-name", Title: "the certificate that istiod presents lacks the name that workloads connect to",
	Try: []string{
		"kubectl --context {{.Cluster}} -n istio-system get deployment -l app=istiod -o yaml | grep -A1 'ISTIOD_CUSTOM_HOST\\|PILOT_CERT_PROVIDER'",
		"kubectl --context {{.Cluster}} -n istio-system get secret istiod-tls    # a certificate of somebody else's making must name istiod.istio-system.svc",
		restartIstiod,
	},
}

// servingCauses are the codes for which an agent refuses istiod.
func servingCauses() []string {
	return []string{
		verifier.CauseRootSameDN, verifier.CauseRootDistinctDN, verifier.CauseIntermediateUnsent,
		verifier.CauseLeafExpired, verifier.CauseIntermediateExpired, verifier.CauseClockSkew, verifier.CauseEKU,
		verifier.CausePathLen,
	}
}

func judgeServingCertificate(a seen.Authority) []probe.Finding {
	leaf := a.Serving.Leaf()
	switch {
	case leaf == nil && a.Denied != "":
		return []probe.Finding{probe.Lacking(a.Denied)}
	case leaf == nil && a.IstiodStarted.IsZero():
		return []probe.Finding{probe.Skipping("no istiod runs, which ca/istiod-serves-cacerts judges")}
	case leaf == nil:
		return []probe.Finding{probe.Breaking("istiod presents no certificate: " + a.ServingError)}
	case len(a.Roots.Parsed()) == 0:
		return []probe.Finding{probe.Skipping("istio-ca-root-cert of " + a.ControlPlane.Namespace() + " holds no root, which trust/root-configmap judges")}
	case !distributed(a):
		return []probe.Finding{probe.Skipping("istio-ca-root-cert of " + a.ControlPlane.Namespace() + " holds other roots than the CA, which trust/root-configmap judges")}
	}
	chain := seen.ChainEvidence("chain that istiod of "+a.Cluster+" presents", a.Serving, a.At)
	opts := verifier.Options{Roots: a.Roots.Parsed(), At: a.At, Role: verifier.Server}
	presented := verifier.Chain{Certs: a.Serving.Parsed()}
	verdicts := verifier.All(presented, opts)
	// Agents verify with crypto/tls, ztunnel with webpki, which lets an anchor's
	// dates pass.
	i := slices.IndexFunc(verdicts, func(v verifier.Verdict) bool { return v.Verifier == verifier.NameGo })
	if i >= 0 && !verdicts[i].Accepts {
		c := probe.Unknown
		if code, _, _ := verifier.Diagnose(presented, opts); slices.Contains(servingCauses(), code) {
			c = cause.Chain(code)
		}
		return []probe.Finding{probe.Failing(c, chain,
			seen.ChainEvidence("istio-ca-root-cert of "+a.ControlPlane.Namespace(), a.Roots, a.At).As(probe.KindBundle),
			probe.Text("an agent says", verdicts[i].Reason).As(probe.KindVerdict)).Judged(seen.Verdicts(verdicts)...)}
	}
	host := a.ControlPlane.Host()
	names := probe.WantGot("DNS names of istiod of "+a.Cluster, host, dnsNames(leaf)).As(probe.KindCert)
	if leaf.VerifyHostname(host) != nil {
		return []probe.Finding{probe.Failing(causeServingName, names, chain)}
	}
	return []probe.Finding{probe.Passing(names, chain)}
}

// distributed says that the root namespace holds the roots of the CA, as far as they
// are known.
func distributed(a seen.Authority) bool {
	for _, s := range []*seen.CASecret{a.Plugin, a.SelfSigned} {
		if s != nil {
			roots := s.Root
			if len(roots) == 0 {
				roots = s.CACert // older istiods write no root-cert.pem beside their own
			}
			return len(roots) == 0 || slices.Equal(a.Roots.SPKIs(), roots.SPKIs())
		}
	}
	return true
}

// dnsNames lists the names of a certificate, as many as anybody reads.
func dnsNames(leaf *x509.Certificate) string {
	const most = 20
	if len(leaf.DNSNames) == 0 {
		return "none"
	}
	return strings.Join(leaf.DNSNames[:min(len(leaf.DNSNames), most)], "\n")
}
