// SPDX-License-Identifier: Apache-2.0

package spec

const (
	x509Doc = "X509-SVID"
	x509URL = "https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md"
)

// Clauses of "The X.509 SPIFFE Verifiable Identity Document".
var (
	// X509URISAN is the one-identity rule.
	X509URISAN = Clause{
		Doc: x509Doc, Section: "2", Level: Must, URL: x509URL,
		Quote: "An X.509 SVID MUST contain exactly one URI SAN, and by extension, exactly one SPIFFE ID.",
	}
	// X509RejectManyURISANs is the validator's half of X509URISAN.
	X509RejectManyURISANs = Clause{
		Doc: x509Doc, Section: "2", Level: Must, URL: x509URL,
		Quote: "Validators encountering an SVID containing more than one URI SAN MUST reject the SVID.",
	}
	// X509LeafPath requires a leaf to name a workload, not a whole trust domain.
	X509LeafPath = Clause{
		Doc: x509Doc, Section: "3.1", Level: Must, URL: x509URL,
		Quote: "Leaf certificate SPIFFE IDs MUST have a non-root path component.",
	}
	// X509SANCritical applies where the subject is empty, as in Istio's leaves.
	X509SANCritical = Clause{
		Doc: x509Doc, Section: "3.1", Level: Must, URL: x509URL,
		Quote: "The Subject field is not required, however the URI SAN extension MUST be marked as critical if Subject is omitted, per section 4.1.2.6 of RFC 5280.",
	}
	// X509SigningIsSVID asks signing certificates to carry an identity; Istio's do not.
	X509SigningIsSVID = Clause{
		Doc: x509Doc, Section: "3.2", Level: Should, URL: x509URL,
		Quote: "A signing certificate SHOULD itself be an SVID.",
	}
	// X509SigningNoPath forbids a path in a signing certificate's identity.
	X509SigningNoPath = Clause{
		Doc: x509Doc, Section: "3.2", Level: Must, URL: x509URL,
		Quote: "If present, the SPIFFE ID of a signing certificate MUST NOT have a path component",
	}
	// X509SigningNotForAuth keeps CA certificates out of handshakes.
	X509SigningNotForAuth = Clause{
		Doc: x509Doc, Section: "3.2", Level: Must, URL: x509URL,
		Quote: "Signing certificates MUST NOT be used for authentication purposes.",
	}
	// X509CAFlag separates signing certificates from leaves.
	X509CAFlag = Clause{
		Doc: x509Doc, Section: "4.1", Level: Must, URL: x509URL,
		Quote: "Signing certificates MUST set the `cA` field to `true`, and leaf certificates MUST set the `cA` field to `false`.",
	}
	// X509NameConstraints allows URI name constraints, which ztunnel refuses.
	X509NameConstraints = Clause{
		Doc: x509Doc, Section: "4.2", Level: May, URL: x509URL,
		Quote: "X.509 SVID signing certificates MAY apply URI name constraints as the implementor sees fit, though caution is urged in this area.",
	}
	// X509KeyUsagePresent requires key usage on leaves and signing certificates.
	X509KeyUsagePresent = Clause{
		Doc: x509Doc, Section: "4.3", Level: Must, URL: x509URL,
		Quote: "The key usage extension MUST be set on all SVIDs, and MUST be marked critical.",
	}
	// X509SigningKeyUsage requires keyCertSign on signing certificates.
	X509SigningKeyUsage = Clause{
		Doc: x509Doc, Section: "4.3", Level: Must, URL: x509URL,
		Quote: "SVID signing certificates MUST set `keyCertSign`.",
	}
	// X509LeafDigitalSignature requires digitalSignature on leaves.
	X509LeafDigitalSignature = Clause{
		Doc: x509Doc, Section: "4.3", Level: Must, URL: x509URL,
		Quote: "Leaf SVIDs MUST set `digitalSignature`.",
	}
	// X509LeafNoCertSign keeps leaves from signing.
	X509LeafNoCertSign = Clause{
		Doc: x509Doc, Section: "4.3", Level: Must, URL: x509URL,
		Quote: "Leaf SVIDs MUST NOT set `keyCertSign` or `cRLSign`.",
	}
	// X509EKUPresent asks leaves to say what they are for.
	X509EKUPresent = Clause{
		Doc: x509Doc, Section: "4.4", Level: Should, URL: x509URL,
		Quote: "Leaf SVIDs SHOULD include this extension, and it MAY be marked as critical.",
	}
	// X509EKUBoth requires both roles, since every workload is client and server.
	X509EKUBoth = Clause{
		Doc: x509Doc, Section: "4.4", Level: Must, URL: x509URL,
		Quote: "When included, fields `id-kp-serverAuth` and `id-kp-clientAuth` MUST be set.",
	}
	// X509PathValidation binds SVIDs to ordinary path validation.
	X509PathValidation = Clause{
		Doc: x509Doc, Section: "5.1", Level: Must, URL: x509URL,
		Quote: "The validation of trust in a given SVID is based on standard X.509 path validation, and MUST follow RFC 5280 path validation semantics.",
	}
	// X509LeafValidation is what a validator checks beyond the path.
	X509LeafValidation = Clause{
		Doc: x509Doc, Section: "5.2", Level: Must, URL: x509URL,
		Quote: "When validating an X.509 SVID for authentication purposes, the validator MUST ensure that the `CA` field in the basic constraints extension is set to `false`, and that `keyCertSign` and `cRLSign` are not set in the key usage extension.",
	}
)

func x509SVID() []Clause {
	return []Clause{
		X509URISAN, X509RejectManyURISANs, X509LeafPath, X509SANCritical,
		X509SigningIsSVID, X509SigningNoPath, X509SigningNotForAuth, X509CAFlag,
		X509NameConstraints, X509KeyUsagePresent, X509SigningKeyUsage,
		X509LeafDigitalSignature, X509LeafNoCertSign, X509EKUPresent, X509EKUBoth,
		X509PathValidation, X509LeafValidation,
	}
}
