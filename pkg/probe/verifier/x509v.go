// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/x509"
	"slices"
)

// maxPath bounds paths through trust bundles that issue each other in circles.
const maxPath = maxChain + 8

// x509Verify is X509_verify_cert, which BoringSSL and OpenSSL have in common,
// with the differences between them.
type x509Verify struct {
	// partial accepts any certificate of the bundle as an anchor
	// (X509_V_FLAG_PARTIAL_CHAIN, set by Envoy).
	partial bool
	// signersOnly looks for issuers only among certificates whose key usage
	// lets them sign, so that others do not exist rather than fail.
	signersOnly bool
	// matchKeyType looks for issuers only among keys of the signature's type.
	matchKeyType bool
	// preferValid takes an issuer that is valid now before the first one.
	preferValid bool
	// anchorExtensions has the extensions of certificates of the bundle count,
	// and the path length constraints of self-issued ones.
	anchorExtensions bool
	// selfSignedWord and purposeWord are where the two word an error differently.
	selfSignedWord, purposeWord string
}

// boringSSL is Envoy's library. Source: crypto/x509/x509_vfy.c (a0689af2) with
// the flags of Envoy's default_validator.cc.
func boringSSL() x509Verify {
	return x509Verify{
		partial: true, signersOnly: true,
		selfSignedWord: "self signed", purposeWord: "unsupported certificate purpose",
	}
}

// openSSL is OpenSSL 3.0 without -partial_chain. Source: crypto/x509/x509_vfy.c
// and v3_purp.c of openssl-3.0.
func openSSL() x509Verify {
	return x509Verify{
		matchKeyType: true, preferValid: true, anchorExtensions: true,
		selfSignedWord: "self-signed", purposeWord: "unsuitable certificate purpose",
	}
}

// verify builds one path and checks it: extensions from the leaf up, then
// signatures and dates from the anchor down, then name constraints.
func (v x509Verify) verify(in input) *fault {
	certs, sent, f := v.build(in)
	if f != nil {
		return f
	}
	looked := certs
	if !v.anchorExtensions {
		looked = certs[:sent]
	}
	if f := v.extensions(in, looked, len(certs)); f != nil {
		return f
	}
	if f := signatures(in, certs); f != nil {
		return f
	}
	return constraints(certs)
}

// build is the path building of X509_verify_cert: the bundle first, then what
// was sent, the first that fits, and no way back. It returns the path and how
// many of its certificates are not of the bundle.
func (v x509Verify) build(in input) (path []*x509.Certificate, untrusted int, f *fault) {
	certs := []*x509.Certificate{in.leaf}
	pool := slices.Clone(in.sent)
	last := func() *x509.Certificate { return certs[len(certs)-1] }
	for len(certs) < maxPath && !v.selfSigned(last()) && v.issuer(in, last(), in.opts.Roots) == nil {
		c := v.issuer(in, last(), pool)
		if c == nil {
			break
		}
		certs = append(certs, c)
		pool = slices.DeleteFunc(pool, func(other *x509.Certificate) bool { return other == c })
	}
	sent := len(certs)
	var stray *x509.Certificate // a self-signed certificate that the peer sent
	if v.selfSigned(last()) {
		if sent > 1 {
			stray = last()
			certs = certs[:sent-1]
			sent--
		} else if !slices.ContainsFunc(in.opts.Roots, in.leaf.Equal) {
			return nil, 0, unknownCA(v.selfSignedWord+" certificate", 0)
		} else {
			return certs, sent, nil
		}
	}
	for len(certs) < maxPath && !v.selfSigned(last()) {
		c := v.issuer(in, last(), in.opts.Roots)
		if c == nil {
			break
		}
		certs = append(certs, c)
	}
	f = v.trust(in, certs, sent, stray)
	return certs, sent, f
}

// trust decides whether the path built ends in the bundle.
func (v x509Verify) trust(in input, certs []*x509.Certificate, sent int, stray *x509.Certificate) *fault {
	last := certs[len(certs)-1]
	switch {
	case sent < len(certs) && (v.partial || v.selfSigned(last)):
		return nil
	case v.partial && slices.ContainsFunc(in.opts.Roots, in.leaf.Equal):
		return nil
	case stray != nil && v.issued(last, stray):
		return unknownCA(v.selfSignedWord+" certificate in certificate chain", len(certs))
	case sent < len(certs):
		f := unknownCA("unable to get issuer certificate", len(certs)-1)
		f.code = CauseRootIntermediate
		return f
	default:
		return unknownCA("unable to get local issuer certificate", len(certs)-1)
	}
}

// issuer returns the certificate among others that is taken for c's issuer.
func (v x509Verify) issuer(in input, c *x509.Certificate, among []*x509.Certificate) *x509.Certificate {
	var found *x509.Certificate
	for _, other := range among {
		if !v.issued(c, other) {
			continue
		}
		if !v.preferValid || timeCause(other, 0, true, in.opts.At) == "" {
			return other
		}
		if found == nil || other.NotAfter.After(found.NotAfter) {
			found = other
		}
	}
	return found
}

// issued is X509_check_issued: may issuer have issued c, judging without the
// signature.
func (v x509Verify) issued(c, issuer *x509.Certificate) bool {
	return sameName(c, issuer) && authorityFits(c, issuer) &&
		(!v.signersOnly || hasKeyUsage(issuer, x509.KeyUsageCertSign)) &&
		(!v.matchKeyType || keyTypeFits(c, issuer))
}

// selfSigned is EXFLAG_SS: c names itself as its issuer and its
// authorityKeyIdentifier, if any, does not object. No signature is checked, so
// an intermediate that shares its root's name is taken for self-signed.
func (v x509Verify) selfSigned(c *x509.Certificate) bool { return v.issued(c, c) }

// unknownCA is a refusal for want of an issuer, its cause left to be found.
func unknownCA(reason string, depth int) *fault {
	return &fault{reason: reason, clause: "RFC 5280 §6.1", depth: depth, alert: alertUnknownCA}
}

// keyTypeFits reports whether issuer's key is of the type that c's signature
// algorithm names. Source: OpenSSL 3.0 v3_purp.c, check_sig_alg_match.
func keyTypeFits(c, issuer *x509.Certificate) bool {
	want := signatureKey(c.SignatureAlgorithm)
	return want == x509.UnknownPublicKeyAlgorithm || want == issuer.PublicKeyAlgorithm
}

// signatureKey returns the type of key that makes signatures of the algorithm.
func signatureKey(alg x509.SignatureAlgorithm) x509.PublicKeyAlgorithm {
	switch alg {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.SHA256WithRSA, x509.SHA384WithRSA,
		x509.SHA512WithRSA, x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS:
		return x509.RSA
	case x509.ECDSAWithSHA1, x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
		return x509.ECDSA
	case x509.PureEd25519:
		return x509.Ed25519
	default:
		return x509.UnknownPublicKeyAlgorithm
	}
}
