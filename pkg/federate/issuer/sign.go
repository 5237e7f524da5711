// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"time"
)

// backdate is how far certificates start before now, for clocks that are
// behind: istiod itself allows two minutes (ClockSkewGracePeriod), nodes are
// often worse.
const backdate = 10 * time.Minute

// Root is a root certificate with its key. No verb of fmt reaches the key.
type Root struct {
	Cert *x509.Certificate
	key  crypto.Signer
}

// String is the subject of the root.
func (r *Root) String() string {
	if r == nil || r.Cert == nil {
		return "no root"
	}
	return r.Cert.Subject.String()
}

// GoString is String.
func (r *Root) GoString() string { return r.String() }

// newRoot self-signs key. The common name holds the start of the key's
// identifier, so that no two roots have the same name: mistakes then show as
// an unknown issuer, not as a bad signature.
func newRoot(key crypto.Signer, o Options) (*Root, error) {
	ski, err := keyID(key.Public())
	if err != nil {
		return nil, err
	}
	now := o.Now()
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{o.Org}, CommonName: "Root CA " + hex.EncodeToString(ski[:6])},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(o.TTL),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		SubjectKeyId:          ski,
		AuthorityKeyId:        ski,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("issuer: self-sign root: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("issuer: read back root: %w", err)
	}
	return &Root{Cert: cert, key: key}, nil
}

// sign issues an intermediate for the key and name of a checked CSR. All the
// rest is the signer's choice: a CA that signs leaves only (path length 0),
// that may sign certificates and CRLs (ztunnel verifies a CRL with its
// issuer's cRLSign), inside the root's lifetime.
func (r *Root) sign(req *x509.CertificateRequest, p Profile, clusterName string, o Options) (*x509.Certificate, error) {
	ski, err := keyID(req.PublicKey)
	if err != nil {
		return nil, err
	}
	now := o.Now()
	template := &x509.Certificate{
		Subject:               p.Name(clusterName),
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(o.IntermediateTTL),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		SubjectKeyId:          ski,
		DNSNames:              o.DNSNames,
	}
	if template.NotBefore.Before(r.Cert.NotBefore) {
		template.NotBefore = r.Cert.NotBefore
	}
	if template.NotAfter.After(r.Cert.NotAfter) {
		template.NotAfter = r.Cert.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, template, r.Cert, req.PublicKey, r.key)
	if err != nil {
		return nil, fmt.Errorf("issuer: sign intermediate of %s: %w", clusterName, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("issuer: read back intermediate of %s: %w", clusterName, err)
	}
	return cert, nil
}

// keyID is the key identifier of a public key: the leftmost 160 bits of the
// SHA-256 of its bits (RFC 7093 §2, method 1).
func keyID(pub crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("issuer: encode public key: %w", err)
	}
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &spki); err != nil {
		return nil, fmt.Errorf("issuer: encode public key: %w", err)
	}
	sum := sha256.Sum256(spki.Key.RightAlign())
	return sum[:20], nil
}

// SPKI is the SHA-256 of a certificate's public key in hex: how roots are
// told apart, whatever they are called.
func SPKI(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}
