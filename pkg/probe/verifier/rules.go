// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"fmt"
	"time"
)

// rule is one thing that can be wrong with a path that does lead to an anchor.
type rule struct {
	cause string
	// link marks rules that make some verifier miss the issuer altogether.
	link   bool
	broken func(in input, p path) (detail string, depth int, broken bool)
}

// rules returns the rules in the order in which Diagnose applies them.
func rules() []rule {
	return []rule{
		{CauseLeafExpired, false, datesBroken(CauseLeafExpired)},
		{CauseClockSkew, true, datesBroken(CauseClockSkew)},
		{CauseIntermediateExpired, true, datesBroken(CauseIntermediateExpired)},
		{CauseRootExpired, true, datesBroken(CauseRootExpired)},
		{CauseCriticalExtension, true, criticalUnknown},
		{CauseLeafIsCA, false, leafIsCA},
		{CauseNotACA, true, issuerNoCA},
		{CauseNoKeyCertSign, true, issuerNoCertSign},
		{CauseKeyUsage, false, leafCannotSign},
		{CauseEKU, false, roleRestricted},
		{CauseNameConstraints, false, constrained},
		{CausePathLen, false, pathTooLong},
		{CauseWeak, true, weakCrypto},
		{CauseSameDNAsRoot, true, namedLikeRoot},
		{CauseDNEncoding, true, namesDiffer},
		{CauseAKISerial, true, authoritySerialDiffers},
		{CauseAKIDrift, true, authorityKeyDiffers},
		{CauseSameDNOrder, true, wrongRootFirst},
		{CauseWrongIntermediate, true, wrongIssuerFirst},
		{CauseRootIntermediate, true, anchorNotRoot},
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// datesBroken: a certificate, anchors included, is outside its dates.
func datesBroken(cause string) func(input, path) (string, int, bool) {
	return func(in input, p path) (string, int, bool) {
		for depth, c := range p.certs {
			anchor := depth > 0 && depth == len(p.certs)-1
			if timeCause(c, depth, anchor, in.opts.At) == cause {
				return fmt.Sprintf("valid from %s to %s, judged at %s",
					stamp(c.NotBefore), stamp(c.NotAfter), stamp(in.opts.At)), depth, true
			}
		}
		return "", 0, false
	}
}

// criticalUnknown: a critical extension that no verifier knows, or, below the
// anchor, one that ztunnel does not know.
func criticalUnknown(_ input, p path) (string, int, bool) {
	for depth, c := range p.certs {
		known := x509Critical()
		if !p.anchored || depth+1 < len(p.certs) {
			known = webpkiCritical()
		}
		if id, ok := unknownCritical(c, known); ok {
			return "critical extension " + id, depth, true
		}
	}
	return "", 0, false
}

// leafIsCA: the leaf could issue certificates (X509-SVID §4.1); ztunnel refuses.
func leafIsCA(_ input, p path) (string, int, bool) {
	return "the leaf has CA:TRUE", 0, isCA(p.certs[0])
}

// issuerNoCA: an end-entity certificate has issued another.
func issuerNoCA(_ input, p path) (string, int, bool) {
	for depth, c := range p.certs {
		v1Root := c.Version == 1 && selfIssued(c)
		if depth > 0 && !isCA(c) && !v1Root {
			return dn(c) + " issues certificates without CA:TRUE", depth, true
		}
	}
	return "", 0, false
}

// issuerNoCertSign: key usage keeps an issuer from signing; ztunnel overlooks it.
func issuerNoCertSign(_ input, p path) (string, int, bool) {
	for depth, c := range p.certs {
		if depth > 0 && !hasKeyUsage(c, x509.KeyUsageCertSign) {
			return dn(c) + " issues certificates without keyCertSign", depth, true
		}
	}
	return "", 0, false
}

// leafCannotSign: TLS 1.3 needs digitalSignature; Envoy insists.
func leafCannotSign(_ input, p path) (string, int, bool) {
	return "the leaf's key usage lacks digitalSignature", 0, !hasKeyUsage(p.certs[0], keyUsageSign)
}

// roleRestricted: some certificate may not be used for one of the two roles.
// The peer's present role comes first, since it is what fails now.
func roleRestricted(in input, p path) (string, int, bool) {
	for _, role := range []Role{in.opts.Role, Client - in.opts.Role} {
		for depth, c := range p.certs {
			if !allowsRole(c, role) {
				return fmt.Sprintf("extended key usage does not allow the role of a %s", role), depth, true
			}
		}
	}
	return "", 0, false
}

// constrained: a name that constraints do not allow, or URI or directory name
// constraints at all, which ztunnel refuses even if they permit the name.
func constrained(_ input, p path) (string, int, bool) {
	for depth := len(p.certs) - 1; depth > 0; depth-- {
		c := p.certs[depth]
		if constrainsDirectory(c) {
			return dn(c) + " has directory name constraints", depth, true
		}
		if len(c.PermittedURIDomains)+len(c.ExcludedURIDomains) > 0 {
			return fmt.Sprintf("%s has URI name constraints, permitted %v, excluded %v",
				dn(c), c.PermittedURIDomains, c.ExcludedURIDomains), depth, true
		}
		for _, below := range p.certs[:depth] {
			if constrain(c, below) != namesAllowed {
				return fmt.Sprintf("%s does not allow the names %v", dn(c), below.DNSNames), depth, true
			}
		}
	}
	return "", 0, false
}

// pathTooLong: more CAs below a CA than it allows, roots included, or more than
// ztunnel looks at.
func pathTooLong(_ input, p path) (string, int, bool) {
	if between := len(p.intermediates()); between > webpkiSubCAs {
		return fmt.Sprintf("%d intermediates, ztunnel looks at %d", between, webpkiSubCAs), webpkiSubCAs + 1, true
	}
	for depth, c := range p.certs {
		if limit := pathLen(c); depth > 0 && limit >= 0 && depth-1 > limit {
			return fmt.Sprintf("%s allows %d CAs below it, there are %d", dn(c), limit, depth-1), depth, true
		}
	}
	return "", 0, false
}

// weakCrypto: what ztunnel or Go no longer take: SHA-1, RSA below 2048 bits,
// P-224, and on a leaf what Envoy does not.
func weakCrypto(_ input, p path) (string, int, bool) {
	for depth, c := range p.certs {
		key, isEC := c.PublicKey.(*ecdsa.PublicKey)
		anchor := depth > 0 && depth == len(p.certs)-1
		sha1 := c.SignatureAlgorithm == x509.SHA1WithRSA || c.SignatureAlgorithm == x509.ECDSAWithSHA1
		switch bits := rsaBits(c); {
		case bits > 0 && bits < minRSABits:
			return fmt.Sprintf("RSA key of %d bits", bits), depth, true
		case isEC && key.Curve == elliptic.P224():
			return "key on P-224", depth, true
		case depth == 0 && handshakesNotWithEnvoy(c):
			return "Envoy offers no signature algorithm for a key of this type", depth, true
		case sha1 && !anchor:
			return "signature " + c.SignatureAlgorithm.String(), depth, true
		}
	}
	return "", 0, false
}

// namedLikeRoot: an intermediate with its issuer's name and no authority key
// identifier, which Envoy and OpenSSL take for a self-signed root.
func namedLikeRoot(_ input, p path) (string, int, bool) {
	for i, c := range p.intermediates() {
		if selfIssued(c) && len(authorityKeyOf(c).ID) == 0 {
			return dn(c) + " has the name of its issuer and no authority key identifier", i + 1, true
		}
	}
	return "", 0, false
}

// namesDiffer: issuer and subject read the same and are encoded differently;
// Go and ztunnel compare bytes.
func namesDiffer(_ input, p path) (string, int, bool) {
	for depth := range len(p.certs) - 1 {
		if !bytes.Equal(p.certs[depth].RawIssuer, p.certs[depth+1].RawSubject) {
			return fmt.Sprintf("issuer %s is encoded otherwise than the subject that it means", p.certs[depth].Issuer), depth, true
		}
	}
	return "", 0, false
}

// authoritySerialDiffers: the authority key identifier names a certificate by
// serial number or issuer, and another stands in its place.
func authoritySerialDiffers(_ input, p path) (string, int, bool) {
	for depth := range len(p.certs) - 1 {
		child, issuer := p.certs[depth], p.certs[depth+1]
		if !authorityFits(child, issuer) && !keyIDDiffers(child, issuer) {
			return "the authority key identifier names another serial number or issuer of " + dn(issuer), depth, true
		}
	}
	return "", 0, false
}

// authorityKeyDiffers: the key identifiers do not fit though the signature does.
func authorityKeyDiffers(_ input, p path) (string, int, bool) {
	for depth := range len(p.certs) - 1 {
		child, issuer := p.certs[depth], p.certs[depth+1]
		if keyIDDiffers(child, issuer) {
			return fmt.Sprintf("authority key identifier %x, but %s has subject key identifier %x",
				child.AuthorityKeyId, dn(issuer), issuer.SubjectKeyId), depth, true
		}
	}
	return "", 0, false
}

func keyIDDiffers(child, issuer *x509.Certificate) bool {
	id := authorityKeyOf(child).ID
	return len(id) > 0 && len(issuer.SubjectKeyId) > 0 && !bytes.Equal(id, issuer.SubjectKeyId)
}

// wrongRootFirst: another certificate of the bundle has the name of the right
// issuer, comes first, and nothing in the certificate below tells them apart.
// Envoy takes the first.
func wrongRootFirst(in input, p path) (string, int, bool) {
	return misled(in, p, in.opts.Roots, "in the bundle")
}

// wrongIssuerFirst: as wrongRootFirst, among the certificates that were sent, or
// the right issuer is sent first as another CA has issued it, and that CA is not
// trusted.
func wrongIssuerFirst(in input, p path) (string, int, bool) {
	if detail, depth, broken := misled(in, p, in.sent, "sent"); broken {
		return detail, depth, true
	}
	for i, c := range p.intermediates() {
		first := boringSSL().issuer(in, p.certs[i], in.sent)
		if first == nil || sameDN(first.RawIssuer, c.RawIssuer) {
			continue
		}
		return fmt.Sprintf("%s is sent as issued by %s before it is sent as issued by %s", dn(c), first.Issuer, c.Issuer), i + 1, true
	}
	return "", 0, false
}

// misled reports the first certificate of the path for which BoringSSL would
// take a certificate of another key for the issuer.
func misled(in input, p path, among []*x509.Certificate, where string) (string, int, bool) {
	for depth := range len(p.certs) - 1 {
		first, right := boringSSL().issuer(in, p.certs[depth], among), p.certs[depth+1]
		if first != nil && SPKI(first) != SPKI(right) {
			return fmt.Sprintf("%s with key %s is %s before the one with key %s",
				dn(first), ShortSPKI(first), where, ShortSPKI(right)), depth, true
		}
	}
	return "", 0, false
}

// anchorNotRoot: the anchor is an intermediate or even the leaf, which OpenSSL
// does not take.
func anchorNotRoot(_ input, p path) (string, int, bool) {
	return dn(p.top()) + " is in the bundle and is no root", len(p.certs) - 1, !selfIssued(p.top())
}
