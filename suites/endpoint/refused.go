// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"crypto/x509"
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// refusable are the causes with which a client's chain can be refused, of those
// that the client's side can tell.
func refusable() []string {
	return []string{
		verifier.CauseRootSameDN, verifier.CauseRootDistinctDN, verifier.CauseIntermediateUnsent, verifier.CauseWrongIntermediate,
		verifier.CauseLeafExpired, verifier.CauseClockSkew, verifier.CauseIntermediateExpired, verifier.CauseEKU,
		verifier.CauseSANShape, verifier.CauseTrustDomainSidecar, verifier.CauseTrustDomainAmbient,
	}
}

// sidecarOnly says that ambient has another name for a cause.
func sidecarOnly(code string) bool { return code == verifier.CauseTrustDomainSidecar }

// refused says why the server refused the client: first by what is wrong with
// the client's chain whoever looks at it, then by what is known of the roots
// that the server trusts.
func refused(p part, alert probe.Evidence) probe.Finding {
	l := p.layer
	if len(l.Client) == 0 {
		return probe.Failing(causeNoClient, alert)
	}
	facts := []probe.Evidence{probe.Text(p.label("chain that was shown"), l.Client.Describe(p.At)).As(probe.KindChain)}
	if len(l.Authorities) > 0 {
		facts = append(facts, probe.Text(p.label("authorities that the server names"), l.Authorities...))
	}
	fail := func(c probe.Cause, more ...probe.Evidence) probe.Finding {
		return probe.Failing(c, alert, append(facts, more...)...)
	}
	certs := l.Client.Parsed()
	if len(certs) == 0 {
		return fail(causeUnknown)
	}
	if code, detail := ownFault(p, certs); code != "" {
		return fail(cause.Chain(code), probe.Text("diagnosis", detail))
	}
	if code, detail := rootFault(p, certs); code != "" {
		return fail(cause.Chain(code), probe.Text("diagnosis", detail))
	}
	if code, detail := trustDomainFault(p, certs[0]); code != "" {
		return fail(cause.Chain(code), probe.Text("diagnosis", detail))
	}
	if len(p.Asked.Bundle) > 0 && blamesTrust(l.Alert) {
		return fail(verdict.StaleServer)
	}
	return fail(causeUnknown)
}

// blamesTrust says that an alert means that no path to a root was found: peers
// differ in which they send (failures.md §3).
func blamesTrust(alert string) bool {
	return slices.Contains([]string{"unknown_ca", "decrypt_error", "bad_certificate", "certificate_unknown"}, alert)
}

// ownFault is what is wrong with the client's chain by itself: verified with
// the bundle, or, where none was given or it leads elsewhere, with its own top
// for a root.
func ownFault(p part, certs []*x509.Certificate) (code, detail string) {
	chain := verifier.Chain{Certs: certs}
	opts := verifier.Options{Roots: p.Asked.Bundle.Parsed(), At: p.At, Role: verifier.Client}
	code, detail, _ = verifier.Diagnose(chain, opts)
	if len(opts.Roots) == 0 || slices.Contains([]string{verifier.CauseRootDistinctDN, verifier.CauseRootSameDN, verifier.CauseRootIntermediate, verifier.CauseUnknown}, code) {
		f := formOf(certs[:min(len(certs), maxJudged)])
		opts.Roots = []*x509.Certificate{certs[f.way[len(f.way)-1]-1]}
		code, detail, _ = verifier.Diagnose(chain, opts)
	}
	if !slices.Contains(refusable(), code) || code == verifier.CauseRootDistinctDN || code == verifier.CauseRootSameDN {
		return "", ""
	}
	return code, detail
}

// rootFault compares the root of the client's chain with what is known of those
// that the server trusts: the names that it gave, and the chain that it sent.
// Names that are given are all that it trusts; a name is not a key.
func rootFault(p part, certs []*x509.Certificate) (code, detail string) {
	if !blamesTrust(p.layer.Alert) {
		return "", ""
	}
	f := formOf(certs[:min(len(certs), maxJudged)])
	top := certs[f.way[len(f.way)-1]-1]
	issuer := top.Issuer.String()
	if len(p.layer.Authorities) > 0 && !namesAny(p.layer.Authorities, certs) {
		return verifier.CauseRootDistinctDN, "the chain leads to " + seen.Name(issuer) + ", which is none of the authorities that the server names"
	}
	if code, detail := serverFault(p); code != "" {
		return code, "the server's own chain does not verify against the bundle: " + detail
	}
	mayTell := p.layer.Alert == "unknown_ca" || p.layer.Alert == "decrypt_error"
	if mayTell && len(p.layer.Authorities) > 0 {
		return verifier.CauseRootSameDN, "the server names " + seen.Name(issuer) + " among its authorities and refuses what it signed: the root there has the name and another key"
	}
	return "", ""
}

// namesAny says that a name above the client's leaf is among the authorities.
func namesAny(authorities []string, certs []*x509.Certificate) bool {
	return slices.ContainsFunc(certs, func(c *x509.Certificate) bool { return slices.Contains(authorities, c.Issuer.String()) })
}

// serverFault says that the server's chain ends in another root than the
// bundle's: the two sides trust different roots.
func serverFault(p part) (code, detail string) {
	if len(p.Asked.Bundle) == 0 || len(p.layer.Chain) == 0 {
		return "", ""
	}
	code, detail, _ = verifier.Diagnose(verifier.Chain{Certs: p.layer.Chain.Parsed()},
		verifier.Options{Roots: p.Asked.Bundle.Parsed(), At: p.At, Role: verifier.Server})
	if code == verifier.CauseRootSameDN || code == verifier.CauseRootDistinctDN {
		return code, detail
	}
	return "", ""
}

// trustDomainFault compares the trust domains of the two leaves where the alert
// is the one for an identity: a shared root, another name.
func trustDomainFault(p part, leaf *x509.Certificate) (code, detail string) {
	theirs, own := trustDomain(p.layer.Chain.Leaf()), trustDomain(leaf)
	if !slices.Contains([]string{"certificate_unknown", "bad_certificate", "access_denied"}, p.layer.Alert) {
		return "", ""
	}
	if own == "" {
		return verifier.CauseSANShape, "the certificate that was shown has no SPIFFE ID: " + seen.Subject(leaf)
	}
	if theirs == "" || theirs == own {
		return "", ""
	}
	if p.by() == cluster.Ambient {
		code = verifier.CauseTrustDomainAmbient
	} else {
		code = verifier.CauseTrustDomainSidecar
	}
	return code, "the client is of trust domain " + own + ", the server of " + theirs
}

// trustDomain is that of a leaf's SPIFFE ID, empty where it has none.
func trustDomain(leaf *x509.Certificate) string {
	if leaf == nil {
		return ""
	}
	for _, u := range leaf.URIs {
		if strings.EqualFold(u.Scheme, "spiffe") {
			return u.Host
		}
	}
	return ""
}
