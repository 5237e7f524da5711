// SPDX-License-Identifier: Apache-2.0

package verifier

import "crypto/x509"

// Signed reports whether the key of issuer made the signature of child,
// whatever either of them says of itself: names, key identifiers, dates and
// rights are not looked at. SHA-1 signatures count, as they do to Envoy. It is
// false for nil and for certificates too large to be one.
func Signed(child, issuer *x509.Certificate) bool {
	if child == nil || issuer == nil || tooLarge(child) || tooLarge(issuer) {
		return false
	}
	return signaturesSeen.check(child, issuer, signedBy) == nil
}

// SelfSigned reports whether a certificate is signed with its own key: a root.
func SelfSigned(c *x509.Certificate) bool { return Signed(c, c) }

// Names reports whether child calls issuer its issuer, in the eyes of OpenSSL
// and BoringSSL: by canonical name. It is false for nil.
func Names(child, issuer *x509.Certificate) bool {
	return child != nil && issuer != nil && sameName(child, issuer)
}

// SameSubject reports whether two certificates bear one name, compared as
// [Names] does. It is false for nil.
func SameSubject(a, b *x509.Certificate) bool {
	return a != nil && b != nil && sameDN(a.RawSubject, b.RawSubject)
}
