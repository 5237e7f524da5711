// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// Trust checks that the chain verifies against the bundle that was given.
var Trust = probe.DefineOn(probe.Meta{
	ID:      "endpoint/trust",
	Title:   "the chain verifies against the trust bundle",
	About:   aboutTrust,
	Clause:  spec.X509PathValidation,
	Causes:  trustCauses(cluster.Sidecar, cluster.Ambient),
	After:   []string{"endpoint/accepted"},
	Applies: "endpoints",
}, met(), outer(judgeTrust))

const aboutTrust = "The certificates on the wire, in their order and with nothing added, against the bundle of --trust-bundle: as Envoy verifies it for tls and sidecar, as ztunnel does for HBONE, with what Go and OpenSSL say beside it. Without a bundle nothing is called trusted; it is said which root it would take."

// trustCauses are those of the verifiers of some data planes; identities are
// judged elsewhere.
func trustCauses(by ...cluster.DataPlane) []probe.Cause {
	causes := slices.DeleteFunc(verdict.ChainCauses(by...), func(c probe.Cause) bool {
		return slices.Contains([]string{verifier.CauseSANShape, verifier.CauseTrustDomainSidecar, verifier.CauseTrustDomainAmbient}, c.Code)
	})
	return append(causes, causeNoChain)
}

var causeNoChain = probe.Cause{
	Code: "no-certificate", Title: "the server presented no certificate",
	Try: []string{"meshprobe probe tls {{.Address}}   # what else answers there?"},
}

func judgeTrust(p part) []probe.Finding {
	l := p.layer
	switch {
	case len(l.Chain) == 0 && p.refusedAsExpected():
		return []probe.Finding{probe.Skipping("the handshake ended, as expected, before a certificate was sent")}
	case len(l.Chain) == 0:
		return []probe.Finding{probe.Failing(causeNoChain, probe.Text(p.label("handshake"), said(l)))}
	case len(p.Asked.Bundle) == 0:
		return []probe.Finding{probe.Undecided("no --trust-bundle was given: the chain is described, not judged", needed(p))}
	}
	f := verdict.Chain(p.question())
	f.Cause = known(f.Cause)
	f.Evidence = slices.DeleteFunc(f.Evidence, func(e probe.Evidence) bool { return e.Kind == probe.KindChain })
	if f.Status == probe.Pass {
		f.Evidence = append(f.Evidence, probe.Text(p.label("verifies against"), p.root()))
	}
	if len(f.Evidence) == 0 {
		f.Evidence = append(f.Evidence, probe.Text(p.label("chain"), l.Chain.Describe(p.At)).As(probe.KindChain))
	}
	return []probe.Finding{f}
}

// question is the chain of a layer, as the client of that kind of endpoint
// judges it: a ztunnel for HBONE, an Envoy otherwise.
func (p part) question() verdict.Question {
	by := cluster.Sidecar
	if p.tunnels() {
		by = cluster.Ambient
	}
	return verdict.Question{
		Label: p.label("chain that " + p.Address + " presents"), Chain: p.layer.Chain, Roots: p.Asked.Bundle, At: p.At,
		Role: verifier.Server, By: by,
	}
}

// root names the trust anchor at which the chain ends.
func (p part) root() string {
	certs := p.layer.Chain.Parsed()
	for _, c := range slices.Backward(certs[:min(len(certs), maxJudged)]) {
		for _, a := range p.Asked.Bundle.Parsed() {
			if verifier.SPKI(a) == verifier.SPKI(c) || verifier.Names(c, a) && verifier.Signed(c, a) {
				return anchor(a)
			}
		}
	}
	return "(none of the bundle)"
}

func anchor(a *x509.Certificate) string {
	s := seen.Name(a.Subject.String()) + ", key " + seen.ShortKey(a)
	if ski := verifier.SKI(a); ski != "" {
		s += fmt.Sprintf(", SKI %.16s", ski)
	}
	return s
}

// needed says which root it would take to verify a chain: the one that was
// sent, or the issuer of the topmost certificate that was.
func needed(p part) probe.Evidence {
	return probe.Text(p.label("root that it would take"), rootNeeded(p.layer))
}

func rootNeeded(l *wire.Layer) string {
	certs := l.Chain.Parsed()
	if len(certs) == 0 {
		return "(the chain cannot be parsed)"
	}
	f := formOf(certs[:min(len(certs), maxJudged)])
	top := certs[f.way[len(f.way)-1]-1]
	switch {
	case verifier.SelfSigned(top):
		return anchor(top) + " (sent along, which proves nothing)"
	case len(top.AuthorityKeyId) > 0:
		return seen.Name(top.Issuer.String()) + fmt.Sprintf(", key identifier %.16s", fmt.Sprintf("%x", top.AuthorityKeyId))
	default:
		return seen.Name(top.Issuer.String()) + ", key identifier not named"
	}
}
