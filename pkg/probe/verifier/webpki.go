// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"slices"
)

// Limits of rustls-webpki 0.103, src/verify_cert.rs. Its own budget of build
// calls is 200,000; ours is smaller, since the chain is bounded too.
const (
	minRSABits     = 2048
	webpkiSubCAs   = 6
	webpkiSigs     = 100
	webpkiCalls    = 2000
	rustlsPKI      = "rustls-webpki 0.103 src/verify_cert.rs"
	rustlsSigs     = "rustls-webpki 0.103 src/signed_data.rs"
	reasonNoIssuer = "UnknownIssuer"
)

// webpkiFault is a fault with webpki's rank: of the faults met on all paths
// tried, the one of highest rank is reported. Source: src/error.rs,
// Error::most_specific.
type webpkiFault struct {
	fault
	rank  int
	fatal bool
}

// webpki is one run of rustls-webpki's path building.
type webpki struct {
	in          input
	sigs, calls int
}

// verifyWebPKI verifies as rustls-webpki 0.103 does for ztunnel: names are
// compared as bytes, every candidate is tried, key usage and key identifiers
// are ignored, and of an anchor only name, key and name constraints count.
func verifyWebPKI(in input) *fault {
	w := webpki{in: in}
	if f := w.build([]*x509.Certificate{in.leaf}); f != nil {
		return &f.fault
	}
	return nil
}

// build is build_chain_inner: certs is the path so far, leaf first.
func (w *webpki) build(certs []*x509.Certificate) *webpkiFault {
	w.calls++
	if w.calls > webpkiCalls {
		return webpkiError("MaximumPathBuildCallsExceeded", CauseOversized, 0, alertCertificateUnknown).asFatal()
	}
	depth := len(certs) - 1
	cert := certs[depth] //nolint:gosec // G602: a path begins with the leaf
	if f := w.standalone(cert, depth); f != nil {
		return f
	}
	if depth > webpkiSubCAs {
		return webpkiError("MaximumPathDepthExceeded", CausePathLen, depth, alertCertificateUnknown)
	}
	worst := webpkiError(reasonNoIssuer, "", depth, alertUnknownCA)
	for _, root := range w.in.opts.Roots {
		if !bytes.Equal(cert.RawIssuer, root.RawSubject) {
			continue
		}
		f := w.signed(certs, root)
		if f == nil {
			f = w.constrained(certs, root)
		}
		if f == nil || f.fatal {
			return f
		}
		worst = worst.orWorse(f)
	}
	for _, c := range w.in.sent {
		if !bytes.Equal(cert.RawIssuer, c.RawSubject) || looped(certs, c) {
			continue
		}
		f := w.build(append(slices.Clip(certs), c))
		if f == nil || f.fatal {
			return f
		}
		worst = worst.orWorse(f)
	}
	return worst
}

// looped reports whether name and key of c are already in the path.
func looped(certs []*x509.Certificate, c *x509.Certificate) bool {
	for _, prev := range certs {
		if bytes.Equal(prev.RawSubject, c.RawSubject) &&
			bytes.Equal(prev.RawSubjectPublicKeyInfo, c.RawSubjectPublicKeyInfo) {
			return true
		}
	}
	return false
}

// webpkiCritical are the extensions that webpki reads. Source: src/cert.rs,
// remember_cert_extension. A critical one beside them is refused while parsing.
func webpkiCritical() []int {
	return []int{
		oidKeyUsage, oidAltName, oidBasicConstraints, oidNameConstraints, oidCRLPoints, oidExtKeyUsage,
	}
}

// standalone is what webpki asks of a certificate regardless of its issuer:
// no unknown critical extension, dates, basic constraints, extended key usage.
func (w *webpki) standalone(c *x509.Certificate, depth int) *webpkiFault {
	if _, ok := unknownCritical(c, webpkiCritical()); ok {
		return webpkiError("UnsupportedCriticalExtension", CauseCriticalExtension, depth, alertCertificateUnknown).ranked(130)
	}
	switch cause := timeCause(c, depth, false, w.in.opts.At); {
	case cause == "":
	case c.NotAfter.Before(c.NotBefore):
		return webpkiError("InvalidCertValidity", cause, depth, alertCertificateUnknown).ranked(190)
	case cause == CauseClockSkew:
		return webpkiError("certificate not valid yet", cause, depth, alertCertificateExpired).ranked(290)
	default:
		return webpkiError("certificate expired", cause, depth, alertCertificateExpired).ranked(290)
	}
	switch {
	case depth == 0 && isCA(c):
		return webpkiError("CaUsedAsEndEntity", CauseLeafIsCA, depth, alertCertificateUnknown).ranked(210)
	case depth > 0 && !isCA(c):
		return webpkiError("EndEntityUsedAsCa", CauseNotACA, depth, alertCertificateUnknown).ranked(210)
	case depth > 0 && pathLen(c) >= 0 && depth-1 > pathLen(c):
		return webpkiError("PathLenConstraintViolated", CausePathLen, depth, alertCertificateUnknown).ranked(220)
	}
	if !allowsRole(c, w.in.opts.Role) {
		return webpkiError("InvalidPurpose", CauseEKU, depth, alertUnsupportedCertificate).ranked(240)
	}
	return nil
}

// signed is check_signed_chain: every signature from the anchor's key down.
func (w *webpki) signed(certs []*x509.Certificate, root *x509.Certificate) *webpkiFault {
	issuer := root
	for depth, c := range slices.Backward(certs) {
		w.sigs++
		if w.sigs > webpkiSigs {
			return webpkiError("MaximumSignatureChecksExceeded", CauseOversized, depth, alertCertificateUnknown).asFatal()
		}
		if f := w.signature(c, issuer, depth); f != nil {
			return f
		}
		issuer = c
	}
	return nil
}

// signature checks one signature with the algorithms that rustls offers
// with aws-lc: ECDSA on P-256, P-384 and P-521, Ed25519, and RSA from 2048 bits,
// all with SHA-2. A key that is too short looks like a signature that is wrong.
func (w *webpki) signature(c, issuer *x509.Certificate, depth int) *webpkiFault {
	switch c.SignatureAlgorithm {
	case x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519,
		x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS:
	default:
		return webpkiError("UnsupportedSignatureAlgorithmContext", CauseWeak, depth, alertCertificateUnknown).ranked(140).at(rustlsSigs)
	}
	key, isEC := issuer.PublicKey.(*ecdsa.PublicKey)
	switch {
	case signatureKey(c.SignatureAlgorithm) != issuer.PublicKeyAlgorithm:
		return webpkiError("UnsupportedSignatureAlgorithmForPublicKeyContext", "", depth, alertCertificateUnknown).ranked(150).at(rustlsSigs)
	case isEC && key.Curve == elliptic.P224():
		return webpkiError("UnsupportedSignatureAlgorithmForPublicKeyContext", CauseWeak, depth, alertCertificateUnknown).ranked(150).at(rustlsSigs)
	case rsaBits(issuer) > 0 && rsaBits(issuer) < minRSABits:
		return webpkiError("BadSignature", CauseWeak, depth, alertDecryptError).ranked(260).at(rustlsSigs)
	case w.in.signedBy(c, issuer) != nil:
		return webpkiError("BadSignature", "", depth, alertDecryptError).ranked(260).at("RFC 5280 §6.1.3")
	}
	return nil
}

// constrained is check_signed_chain_name_constraints. webpki has no notion of
// URI and directory name constraints, so any of them, even one that permits the
// name, refuses every certificate below that has such a name; every certificate
// has a directory name, its subject, be it empty. Source: src/subject_name.
func (w *webpki) constrained(certs []*x509.Certificate, root *x509.Certificate) *webpkiFault {
	issuer := root
	for i, below := range slices.Backward(certs) {
		uriRule := len(issuer.PermittedURIDomains)+len(issuer.ExcludedURIDomains) > 0
		directoryRule := constrainsDirectory(issuer)
		for depth := 0; depth <= i; depth++ {
			c := certs[depth]
			if directoryRule || (uriRule && len(c.URIs) > 0) || constrain(issuer, c) != namesAllowed {
				return webpkiError("NameConstraintViolation", CauseNameConstraints, depth, alertCertificateUnknown).ranked(230)
			}
		}
		issuer = below
	}
	return nil
}

// webpkiError returns a fault of lowest rank.
func webpkiError(reason, code string, depth int, alert uint8) *webpkiFault {
	return &webpkiFault{fault: fault{reason: reason, clause: rustlsPKI, code: code, depth: depth, alert: alert}}
}

func (f *webpkiFault) ranked(rank int) *webpkiFault { f.rank = rank; return f }

func (f *webpkiFault) at(clause string) *webpkiFault { f.clause = clause; return f }

func (f *webpkiFault) asFatal() *webpkiFault { f.fatal = true; return f }

// orWorse keeps the first of two faults unless the other outranks it. webpki
// reports no depth; of two unknown issuers the one farther up tells more.
func (f *webpkiFault) orWorse(other *webpkiFault) *webpkiFault {
	if other.rank > f.rank || (other.rank == 0 && f.rank == 0 && other.depth > f.depth) {
		return other
	}
	return f
}
