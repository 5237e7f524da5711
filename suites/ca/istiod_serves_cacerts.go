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

// IstiodServesCACerts checks that istiod signs with the CA that it was given:
// one that started without it does not look again.
var IstiodServesCACerts = probe.DefineOn(probe.Meta{
	ID:     "ca/istiod-serves-cacerts",
	Title:  "istiod signs with the CA in cacerts",
	About:  "The certificate that istiod presents on port 15012 and one that it issues just now are signed by the key of ca-cert.pem, and the trust anchors that come with the latter are those of root-cert.pem. An istiod that started before cacerts was made keeps its self-signed root until it is restarted.",
	Clause: spec.IstioCAServes,
	Causes: []probe.Cause{causeAfterIstiod, causeOldCA, causeIstiodDown},
	After: []string{
		"ca/not-self-signed", "ca/cacerts-complete", "ca/key-matches", "ca/is-ca", "ca/signed-by-root", "ca/chain-order", "ca/lifetime-left",
	},
	Applies: "clusters",
}, seen.Authorities(), judgeIstiodServesCACerts)

var causeAfterIstiod = probe.Cause{
	Code: "cacerts-after-istiod", Title: "istiod was not restarted after cacerts was made: it still signs with its own self-signed root",
	Try: cause.RestartMesh(),
}

var causeOldCA = probe.Cause{
	Code: "rotation-single-step", Title: "istiod still signs with a CA that cacerts held before: it drops a changed root without a word",
	Try: []string{
		"kubectl --context {{.Cluster}} -n istio-system logs deployment/istiod | grep -i 'updating new ROOT-CA not supported'",
		restartIstiod,
	},
}

var causeIstiodDown = probe.Cause{
	Code: "istiod-unreachable", Title: "no istiod runs: nothing new is certified or configured, and certificates run out within a day",
	Try: []string{
		"kubectl --context {{.Cluster}} -n istio-system scale deployment -l app=istiod --replicas=1    # where it was scaled to nothing",
		"kubectl --context {{.Cluster}} -n istio-system get deployments,pods -l app=istiod -o wide",
		"kubectl --context {{.Cluster}} -n istio-system describe pods -l app=istiod",
	},
}

func judgeIstiodServesCACerts(a seen.Authority) []probe.Finding {
	s, cert, f := plugged(a)
	if cert == nil {
		return []probe.Finding{f}
	}
	var passed []probe.Evidence
	for _, chain := range []struct {
		label string
		certs seen.Certs
	}{{"certificate that istiod presents", a.Serving}, {"certificate that istiod issues", a.Issued}} {
		leaf := chain.certs.Leaf()
		if leaf == nil {
			continue
		}
		got := probe.WantGot("issuer of the "+chain.label, seen.Subject(cert)+", key "+seen.ShortKey(cert), issuerOf(leaf, a)).As(probe.KindCert)
		if !verifier.Signed(leaf, cert) {
			return []probe.Finding{probe.Failing(stale(leaf, a), got, started(s, a), seen.ChainEvidence(chain.label, chain.certs, a.At))}
		}
		passed = append(passed, got)
	}
	switch {
	case a.Denied != "":
		return []probe.Finding{probe.Lacking(a.Denied)}
	case a.Serving.Leaf() == nil && a.IstiodStarted.IsZero():
		return []probe.Finding{probe.Failing(causeIstiodDown,
			probe.WantGot("pods of istiod in "+a.Cluster, "at least one that runs", "none").As(probe.KindObject), probe.Text("port 15012", a.ServingError))}
	case a.Serving.Leaf() == nil:
		return []probe.Finding{probe.Breaking("istiod presents no certificate: " + a.ServingError)}
	case a.Issued.Leaf() == nil && a.IssuedError != "":
		return []probe.Finding{probe.Breaking("istiod issues no certificate: " + a.IssuedError)}
	case len(a.IssuedRoots) > 0 && !slices.Equal(a.IssuedRoots.SPKIs(), s.Root.SPKIs()):
		return []probe.Finding{probe.Failing(causeOldCA,
			probe.WantGot("trust anchors that istiod hands out", s.Root.Describe(a.At), a.IssuedRoots.Describe(a.At)).As(probe.KindBundle), started(s, a))}
	}
	return []probe.Finding{probe.Passing(append(passed, started(s, a))...)}
}

// stale says why istiod signs with something else.
func stale(leaf *x509.Certificate, a seen.Authority) probe.Cause {
	if a.SelfSigned != nil {
		if own := a.SelfSigned.CACert.Leaf(); own != nil && verifier.Signed(leaf, own) {
			return causeAfterIstiod
		}
	}
	if !a.IstiodStarted.IsZero() && a.Plugin.Created.After(a.IstiodStarted) {
		return causeAfterIstiod
	}
	return causeOldCA
}

func started(s *seen.CASecret, a seen.Authority) probe.Evidence {
	got := "unknown"
	if !a.IstiodStarted.IsZero() {
		got = seen.Stamp(a.IstiodStarted)
	}
	return probe.WantGot("start of istiod in "+a.Cluster, "after cacerts was made, "+seen.Stamp(s.Created), got)
}

func issuerOf(leaf *x509.Certificate, a seen.Authority) string {
	for _, s := range []*seen.CASecret{a.Plugin, a.SelfSigned} {
		if s == nil {
			continue
		}
		if c := s.CACert.Leaf(); c != nil && verifier.Signed(leaf, c) {
			return seen.Subject(c) + ", key " + seen.ShortKey(c)
		}
	}
	return seen.Name(leaf.Issuer.String()) + ", with a key that is neither in cacerts nor in istio-ca-secret"
}
