// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"crypto/x509"
	"slices"
)

const (
	keyUsageSign = x509.KeyUsageDigitalSignature
	keyUsageTLS  = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement
)

// x509Critical are the extensions that BoringSSL and OpenSSL process. Source:
// crypto/x509/v3_purp.c, X509_supported_extension.
func x509Critical() []int {
	return []int{
		oidKeyUsage, oidAltName, oidBasicConstraints, oidNameConstraints, oidCRLPoints,
		oidPolicies, oidPolicyMappings, oidPolicyLimits, oidExtKeyUsage, oidInhibitAny,
	}
}

// extensions is check_chain_extensions, called check_extensions in OpenSSL. certs
// is the lower part of a path of so many certificates.
func (v x509Verify) extensions(in input, certs []*x509.Certificate, whole int) *fault {
	below := 0 // certificates below that are not self-issued, the leaf apart
	for depth, c := range certs {
		if id, ok := unknownCritical(c, x509Critical()); ok {
			return &fault{
				reason: "unhandled critical extension " + id, clause: "RFC 5280 §4.2",
				code: CauseCriticalExtension, depth: depth, alert: alertCertificateUnknown,
			}
		}
		if depth > 0 {
			if f := issuerFault(c, depth, depth+1 == whole); f != nil {
				return f
			}
		}
		if !fitsPurpose(c, in.opts.Role, depth > 0) {
			f := &fault{
				reason: v.purposeWord, clause: "RFC 5280 §4.2.1.12",
				code: CauseEKU, depth: depth, alert: alertUnsupportedCertificate,
			}
			if allowsRole(c, in.opts.Role) {
				f.code, f.clause = CauseKeyUsage, "X509-SVID §4.3"
			}
			return f
		}
		self := selfIssued(c)
		if limit := pathLen(c); depth > 0 && limit >= 0 && below > limit && (!self || v.anchorExtensions) {
			return &fault{
				reason: "path length constraint exceeded", clause: "RFC 5280 §4.2.1.9",
				code: CausePathLen, depth: depth, alert: alertUnknownCA,
			}
		}
		if depth > 0 && !self {
			below++
		}
	}
	return nil
}

// issuerFault is X509_check_ca: an issuer is a CA and its key usage lets it sign.
// At the top OpenSSL also takes what came before there were basic constraints: a
// self-signed version 1 certificate, or one whose key usage says it all.
// Source: OpenSSL 3.0 x509_vfy.c, check_extensions, and v3_purp.c, check_ca.
func issuerFault(c *x509.Certificate, depth int, top bool) *fault {
	_, restricted := extension(c, oidKeyUsage)
	old := top && !c.BasicConstraintsValid && (restricted || c.Version == 1 && selfIssued(c))
	if (isCA(c) || old) && hasKeyUsage(c, x509.KeyUsageCertSign) {
		return nil
	}
	f := unknownCA("invalid CA certificate", depth)
	f.clause, f.code = "RFC 5280 §4.2.1.9", CauseNotACA
	if isCA(c) {
		f.clause, f.code = "RFC 5280 §6.1.4", CauseNoKeyCertSign
	}
	return f
}

// fitsPurpose is check_purpose_ssl_server and check_purpose_ssl_client. The
// extended key usage binds CAs too; anyExtendedKeyUsage does not count.
func fitsPurpose(c *x509.Certificate, role Role, ca bool) bool {
	if !allowsRole(c, role) {
		return false
	}
	if ca {
		return true
	}
	if role == Client {
		return hasKeyUsage(c, x509.KeyUsageDigitalSignature|x509.KeyUsageKeyAgreement)
	}
	return hasKeyUsage(c, keyUsageTLS)
}

// signatures is internal_verify: from the anchor, whose own signature is not
// checked but whose dates are, down to the leaf.
func signatures(in input, certs []*x509.Certificate) *fault {
	for depth, c := range slices.Backward(certs) {
		if depth+1 < len(certs) && in.signedBy(c, certs[depth+1]) != nil {
			return &fault{
				reason: "certificate signature failure", clause: "RFC 5280 §6.1.3",
				depth: depth, alert: alertDecryptError,
			}
		}
		if cause := timeCause(c, depth, depth > 0 && depth == len(certs)-1, in.opts.At); cause != "" {
			reason := "certificate has expired"
			if cause == CauseClockSkew {
				reason = "certificate is not yet valid"
			}
			return &fault{
				reason: reason, clause: "RFC 5280 §6.1", code: cause,
				depth: depth, alert: alertCertificateExpired,
			}
		}
	}
	return nil
}

// constraints is check_name_constraints: every constraint binds all certificates
// below it, self-issued intermediates apart.
func constraints(certs []*x509.Certificate) *fault {
	for i := len(certs) - 1; i > 0; i-- {
		for depth := range i {
			c := certs[depth]
			verdict := constrain(certs[i], c)
			if verdict == namesAllowed || (depth > 0 && selfIssued(c)) {
				continue
			}
			reason := "permitted subtree violation"
			if verdict == namesExcluded {
				reason = "excluded subtree violation"
			}
			return &fault{
				reason: reason, clause: "RFC 5280 §4.2.1.10",
				code: CauseNameConstraints, depth: depth, alert: alertCertificateUnknown,
			}
		}
	}
	return nil
}
