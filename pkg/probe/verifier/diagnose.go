// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
)

// Diagnose says why a chain does not verify, or that it hardly does: one of
// [Causes], the facts in a sentence, and the depth of the certificate at
// fault. It looks at certificates only, not at what any one verifier says, so
// a cause may be one that some verifiers overlook. It returns "" for a chain
// with which nothing is wrong.
func Diagnose(chain Chain, opts Options) (cause, detail string, depth int) {
	in, f := bounded(chain, opts)
	if f != nil {
		return f.code, clip(f.reason), f.depth
	}
	return in.diagnose()
}

// diagnose is Diagnose of what is within bounds.
func (in input) diagnose() (cause, detail string, depth int) {
	p := in.realPath()
	if !p.anchored {
		cause, detail = in.trustCause(p)
		return cause, clip(detail), len(p.certs) - 1
	}
	for _, r := range rules() {
		if detail, depth, broken := r.broken(in, p); broken {
			return r.cause, clip(detail), depth
		}
	}
	if cause, detail := in.identityCause(false); cause != "" {
		return cause, clip(detail), 0
	}
	if d := outlived(p); d > 0 {
		return CauseOutlives, fmt.Sprintf("the leaf ends at %s, the certificate at depth %d already at %s",
			stamp(in.leaf.NotAfter), d, stamp(p.certs[d].NotAfter)), d
	}
	return "", "", 0
}

// linkCause is the cause where a verifier found no issuer or no matching key.
func (in input) linkCause() string {
	p := in.realPath()
	if !p.anchored {
		cause, _ := in.trustCause(p)
		return cause
	}
	// A fault that does not hide the issuer can still be behind it: webpki,
	// for one, goes on to other candidates and reports what it finds there.
	other := CauseUnknown
	for _, r := range rules() {
		if _, _, broken := r.broken(in, p); !broken {
			continue
		}
		if r.link {
			return r.cause
		}
		if other == CauseUnknown {
			other = r.cause
		}
	}
	return other
}

// trustCause explains a path that ends outside the bundle.
func (in input) trustCause(p path) (cause, detail string) {
	top := p.top()
	if len(in.opts.Roots) == 0 {
		return CauseUnknown, "the trust bundle is empty"
	}
	if root := in.intermediateRoot(p); root != nil {
		return CauseRootIntermediate, fmt.Sprintf("the bundle holds %s (key %s), which is issued by %s and is no root",
			dn(root), ShortSPKI(root), root.Issuer)
	}
	for _, c := range slices.Concat(in.opts.Roots, in.sent) {
		if id := authorityKeyOf(top).ID; len(id) > 0 && !in.selfSigned(top) && sameName(top, c) && bytes.Equal(id, c.SubjectKeyId) {
			return CauseUnknown, fmt.Sprintf("%s has the key %x that the certificate below it names, and has not made the signature there: one of the two is damaged",
				dn(c), id)
		}
	}
	for _, root := range in.opts.Roots {
		if sameName(top, root) {
			return CauseRootSameDN, fmt.Sprintf("%s is the name of both, but the chain ends at key %s and the bundle holds key %s",
				dn(root), in.issuerKey(top), ShortSPKI(root))
		}
	}
	for _, c := range in.sent {
		if sameName(top, c) && !slices.ContainsFunc(p.certs, c.Equal) {
			return CauseWrongIntermediate, fmt.Sprintf("%s was sent with key %s, which did not sign the certificate below it",
				dn(c), ShortSPKI(c))
		}
	}
	if len(p.certs) > 1 || in.selfSigned(top) || defaultIstioRoot(top) {
		return CauseRootDistinctDN, fmt.Sprintf("the chain leads to %s, the bundle holds %s", top.Issuer, subjects(in.opts.Roots))
	}
	if i := slices.IndexFunc(in.sent, func(c *x509.Certificate) bool { return isCA(c) && !in.selfSigned(c) }); i >= 0 {
		return CauseWrongIntermediate, fmt.Sprintf("the leaf is issued by %s, sent was %s", top.Issuer, in.sent[i].Subject)
	}
	return CauseIntermediateUnsent, fmt.Sprintf("the leaf is issued by %s, which was neither sent nor is it in the bundle", top.Issuer)
}

// intermediateRoot returns an anchor that is itself issued by the root to which
// the chain leads: somebody else's intermediate in place of the shared root.
func (in input) intermediateRoot(p path) *x509.Certificate {
	top := p.top()
	for _, root := range in.opts.Roots {
		if selfIssued(root) {
			continue
		}
		if in.selfSigned(top) && sameName(root, top) && in.signedBy(root, top) == nil {
			return root
		}
		if len(p.certs) > 1 && !selfIssued(top) && sameDN(root.RawIssuer, top.RawIssuer) {
			return root
		}
	}
	return nil
}

// defaultIstioRoot reports whether c is issued by the root that istiod makes
// for itself, which has no name but O=TRUST-DOMAIN and signs leaves directly.
func defaultIstioRoot(c *x509.Certificate) bool {
	if len(c.Issuer.Organization) != 1 || len(c.Issuer.Names) != 1 {
		return false
	}
	for _, s := range uriSANs(c) {
		if td, ok := trustDomainOf(s); ok && td == c.Issuer.Organization[0] {
			return true
		}
	}
	return false
}

// identityCause explains an identity that is not what the mesh expects.
// aliases says whether the verifier honours trust domain aliases.
func (in input) identityCause(aliases bool) (cause, detail string) {
	sans := uriSANs(in.leaf)
	if len(in.opts.TrustDomains) == 0 && in.opts.Identities == nil {
		return "", ""
	}
	if len(sans) != 1 {
		return CauseSANShape, fmt.Sprintf("the leaf has %d URI SANs: %s", len(sans), strings.Join(sans, ", "))
	}
	id, ok := parseIstioID(sans[0])
	if !ok {
		return CauseSANShape, fmt.Sprintf("%s is not of the form spiffe://TD/ns/NS/sa/SA", sans[0])
	}
	if tds := in.opts.TrustDomains; len(tds) > 0 && id.trustDomain != tds[0] {
		if !slices.Contains(tds, id.trustDomain) {
			return CauseTrustDomainSidecar, fmt.Sprintf("trust domain %s is none of %s", id.trustDomain, strings.Join(tds, ", "))
		}
		if !aliases {
			return CauseTrustDomainAmbient, fmt.Sprintf("trust domain %s is an alias, which ztunnel does not honour", id.trustDomain)
		}
	}
	expected := in.opts.Identities
	if aliases {
		expected = expandTrustDomains(expected, in.opts.TrustDomains)
	}
	if in.opts.Role == Server && in.opts.Identities != nil && !slices.Contains(expected, sans[0]) {
		return CauseWrongIdentity, fmt.Sprintf("%s is none of %s", sans[0], strings.Join(in.opts.Identities, ", "))
	}
	return "", ""
}

// outlived returns the depth of a certificate that ends before the leaf does,
// 0 if there is none.
func outlived(p path) int {
	for depth, c := range p.certs {
		if depth > 0 && c.NotAfter.Before(p.certs[0].NotAfter) {
			return depth
		}
	}
	return 0
}

// issuerKey names the key at which a path ends: that of a self-signed top, or
// the one that a top certificate says has signed it.
func (in input) issuerKey(top *x509.Certificate) string {
	switch {
	case in.selfSigned(top):
		return ShortSPKI(top)
	case len(top.AuthorityKeyId) > 0:
		return fmt.Sprintf("with identifier %x", top.AuthorityKeyId)
	default:
		return "unnamed (no authority key identifier)"
	}
}

// dn prints a subject, and an empty one so that it can be seen.
func dn(c *x509.Certificate) string {
	if s := c.Subject.String(); s != "" {
		return s
	}
	return "(empty name)"
}

func subjects(certs []*x509.Certificate) string {
	names := make([]string, len(certs))
	for i, c := range certs {
		names[i] = dn(c)
	}
	return strings.Join(names, "; ")
}
