// SPDX-License-Identifier: Apache-2.0

package ca

import (
	"crypto/x509"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// NotSelfSigned checks that a cluster was given a CA. An istiod without one
// makes a root for itself, and two such roots bear one name.
var NotSelfSigned = probe.DefineOn(probe.Meta{
	ID:      "ca/not-self-signed",
	Title:   "the cluster signs with a CA it was given, not istiod's own root",
	About:   "Secret cacerts exists in istiod's namespace and is not the root that istiod makes for itself (istio-ca-secret, or cacerts with the key istio-generated). Every istiod names that root O=TRUST-DOMAIN, so the roots of two clusters look alike and are not.",
	Clause:  spec.IstioNotDefaultCA,
	Causes:  []probe.Cause{causeSelfSigned},
	Applies: "clusters",
}, seen.Authorities(), judgeNotSelfSigned)

var causeSelfSigned = probe.Cause{
	Code: "ca-is-self-signed", Title: "the cluster signs with a root that istiod made for itself: no other cluster trusts it",
	Try: []string{
		refederate,
		"kubectl --context {{.Cluster}} -n istio-system get secret cacerts istio-ca-secret",
	},
}

func judgeNotSelfSigned(a seen.Authority) []probe.Finding {
	if a.Plugin == nil && a.SelfSigned == nil {
		return []probe.Finding{probe.Skipping("the cluster keeps no CA of its own: neither cacerts nor istio-ca-secret")}
	}
	if a.Plugin == nil {
		return []probe.Finding{probe.Failing(causeSelfSigned,
			probe.WantGot("CA of "+a.Cluster, "Secret cacerts in "+a.ControlPlane.Namespace(), "istio-ca-secret only"),
			seen.ChainEvidence("ca-cert.pem of istio-ca-secret", a.SelfSigned.CACert, a.At))}
	}
	signer := seen.ChainEvidence("ca-cert.pem of cacerts", a.Plugin.CACert, a.At)
	if a.Plugin.Generated || istiodMade(a.Plugin.CACert.Leaf()) {
		return []probe.Finding{probe.Failing(causeSelfSigned,
			probe.WantGot("CA of "+a.Cluster, "a CA made for the mesh", "cacerts holds a root that istiod made"), signer)}
	}
	return []probe.Finding{probe.Passing(signer)}
}

// istiodMade recognises the default root: self-signed, and no name but an
// organization (istio security/pkg/pki/ca/ca.go NewSelfSignedIstioCAOptions).
func istiodMade(c *x509.Certificate) bool {
	return c != nil && len(c.Subject.Names) == 1 && len(c.Subject.Organization) == 1 && verifier.SelfSigned(c)
}
