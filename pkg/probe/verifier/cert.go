// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // Envoy and OpenSSL still accept SHA-1 signatures, and so must their models.
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"iter"
	"math/big"
	"slices"
)

var errSignature = errors.New("signature does not verify")

// sameName reports whether issuer's subject is what child calls its issuer, in
// the eyes of OpenSSL and BoringSSL.
func sameName(child, issuer *x509.Certificate) bool {
	return sameDN(child.RawIssuer, issuer.RawSubject)
}

// selfIssued reports whether subject and issuer are the same name.
func selfIssued(c *x509.Certificate) bool { return sameName(c, c) }

// signedBy verifies child's signature with issuer's key and nothing else. It
// takes SHA-1 signatures, which crypto/x509 refuses.
func signedBy(child, issuer *x509.Certificate) error {
	switch child.SignatureAlgorithm {
	case x509.SHA1WithRSA:
		key, ok := issuer.PublicKey.(*rsa.PublicKey)
		if !ok {
			return x509.ErrUnsupportedAlgorithm
		}
		sum := sha1.Sum(child.RawTBSCertificate) //nolint:gosec // see the import
		return rsa.VerifyPKCS1v15(key, crypto.SHA1, sum[:], child.Signature)
	case x509.ECDSAWithSHA1:
		key, ok := issuer.PublicKey.(*ecdsa.PublicKey)
		if !ok {
			return x509.ErrUnsupportedAlgorithm
		}
		sum := sha1.Sum(child.RawTBSCertificate) //nolint:gosec // see the import
		if !ecdsa.VerifyASN1(key, sum[:], child.Signature) {
			return errSignature
		}
		return nil
	default:
		return issuer.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature)
	}
}

// authorityKey is the authorityKeyIdentifier extension (RFC 5280 §4.2.1.1).
type authorityKey struct {
	ID     []byte        `asn1:"optional,tag:0"`
	Issuer asn1.RawValue `asn1:"optional,tag:1"`
	Serial *big.Int      `asn1:"optional,tag:2"`
}

// authorityKeyOf returns the identifier, zero if absent or malformed.
func authorityKeyOf(c *x509.Certificate) (key authorityKey) {
	raw, ok := extension(c, oidAuthorityKeyID)
	if !ok {
		return authorityKey{}
	}
	if _, err := asn1.Unmarshal(raw, &key); err != nil {
		return authorityKey{}
	}
	return key
}

// authorityFits reports whether issuer is the certificate that child's
// authorityKeyIdentifier names: by key identifier if both have one, by serial
// number and by issuer name if given. Source: crypto/x509/v3_purp.c,
// X509_check_akid.
func authorityFits(child, issuer *x509.Certificate) bool {
	key := authorityKeyOf(child)
	if len(key.ID) > 0 && len(issuer.SubjectKeyId) > 0 && !bytes.Equal(key.ID, issuer.SubjectKeyId) {
		return false
	}
	if key.Serial != nil && issuer.SerialNumber != nil && key.Serial.Cmp(issuer.SerialNumber) != 0 {
		return false
	}
	if name := directoryName(key.Issuer.Bytes); name != nil &&
		!sameDN(name, issuer.RawIssuer) {
		return false
	}
	return true
}

// Kinds of GeneralName, by their tags (RFC 5280 §4.2.1.6).
const (
	tagDirectoryName = 4
	tagURI           = 6
)

// generalNames yields the content of those of the encoded GeneralNames that are
// of a kind.
func generalNames(names []byte, tag int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(names) > 0 {
			var name asn1.RawValue
			rest, err := asn1.Unmarshal(names, &name)
			if err != nil {
				return
			}
			if name.Class == asn1.ClassContextSpecific && name.Tag == tag && !yield(name.Bytes) {
				return
			}
			names = rest
		}
	}
}

// directoryName returns the encoded name of the first directoryName among
// encoded GeneralNames, or nil.
func directoryName(names []byte) []byte {
	for name := range generalNames(names, tagDirectoryName) {
		return name
	}
	return nil
}

// Extensions by the last arc of their object identifiers, all of them below
// id-ce, 2.5.29 (RFC 5280 §4.2.1).
const (
	oidKeyUsage         = 15
	oidAltName          = 17
	oidBasicConstraints = 19
	oidNameConstraints  = 30
	oidCRLPoints        = 31
	oidPolicies         = 32
	oidPolicyMappings   = 33
	oidAuthorityKeyID   = 35
	oidPolicyLimits     = 36
	oidExtKeyUsage      = 37
	oidInhibitAny       = 54
)

// arc returns the last arc of an object identifier below id-ce, -1 for others.
func arc(id asn1.ObjectIdentifier) int {
	if len(id) == 4 && id[0] == 2 && id[1] == 5 && id[2] == 29 {
		return id[3]
	}
	return -1
}

// extension returns the value of an extension.
func extension(c *x509.Certificate, id int) ([]byte, bool) {
	for i := range c.Extensions {
		if arc(c.Extensions[i].Id) == id {
			return c.Extensions[i].Value, true
		}
	}
	return nil, false
}

// unknownCritical returns the first critical extension that is not in known.
func unknownCritical(c *x509.Certificate, known []int) (id string, found bool) {
	for _, e := range c.Extensions {
		if e.Critical && !slices.Contains(known, arc(e.Id)) {
			return e.Id.String(), true
		}
	}
	return "", false
}

// hasKeyUsage reports whether any of the bits may be used: the extension is
// absent or has one of them.
func hasKeyUsage(c *x509.Certificate, bits x509.KeyUsage) bool {
	_, present := extension(c, oidKeyUsage)
	return !present || c.KeyUsage&bits != 0
}

// isCA reports whether c may issue certificates, by its CA flag alone.
func isCA(c *x509.Certificate) bool { return c.BasicConstraintsValid && c.IsCA }

// pathLen returns the path length constraint, -1 if none.
func pathLen(c *x509.Certificate) int {
	if !isCA(c) || c.MaxPathLen < 0 || (c.MaxPathLen == 0 && !c.MaxPathLenZero) {
		return -1
	}
	return c.MaxPathLen
}

// allowsRole reports whether extended key usage is absent or names the role.
// The wildcard anyExtendedKeyUsage does not count: it does in Go alone.
func allowsRole(c *x509.Certificate, role Role) bool {
	if len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	want := x509.ExtKeyUsageServerAuth
	if role == Client {
		want = x509.ExtKeyUsageClientAuth
	}
	return slices.Contains(c.ExtKeyUsage, want)
}

// rsaBits returns the size of an RSA key, 0 for any other.
func rsaBits(c *x509.Certificate) int {
	if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N != nil {
		return key.N.BitLen()
	}
	return 0
}
