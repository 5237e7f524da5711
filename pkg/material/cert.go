// SPDX-License-Identifier: Apache-2.0

package material

import (
	"crypto/dsa" //nolint:staticcheck // only named, where a certificate holds such a key
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/big"
	"time"

	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
)

// maxNames bounds the names that are kept of one certificate.
const maxNames = 100

// certificate describes one certificate. Bytes behind its end are cut off and
// complained about by who calls.
func certificate(der []byte) Certificate {
	c := Certificate{DER: der}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		c.Error = clip(err.Error())
		c.Facts = salvage(der)
		return c
	}
	c.Facts = factsOf(cert)
	return c
}

func factsOf(cert *x509.Certificate) Facts {
	f := Facts{
		Subject: clip(cert.Subject.String()), Issuer: clip(cert.Issuer.String()), Serial: serial(cert.SerialNumber),
		NotBefore: utc(cert.NotBefore), NotAfter: utc(cert.NotAfter),
		CA:   cert.IsCA,
		SPKI: verifier.SPKI(cert), SKI: hex.EncodeToString(cert.SubjectKeyId), AKI: hex.EncodeToString(cert.AuthorityKeyId),
		Key: keyType(cert.PublicKey), Signature: cert.SignatureAlgorithm.String(),
	}
	for _, u := range cert.URIs {
		f.URIs = addName(f.URIs, u.String())
	}
	for _, name := range cert.DNSNames {
		f.DNSNames = addName(f.DNSNames, name)
	}
	for _, ip := range cert.IPAddresses {
		f.IPs = addName(f.IPs, ip.String())
	}
	return f
}

func addName(names []string, name string) []string {
	if len(names) >= maxNames {
		return names
	}
	return append(names, clip(name))
}

// serial is a serial number in hex, clipped.
func serial(n *big.Int) string {
	if n == nil {
		return ""
	}
	return clip(n.Text(16))
}

// keyType names a public key as people do.
func keyType(key any) string {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == nil {
			return "ECDSA"
		}
		return "ECDSA " + k.Curve.Params().Name
	case *rsa.PublicKey:
		if k.N == nil {
			return "RSA"
		}
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case ed25519.PublicKey:
		return "Ed25519"
	case *ecdh.PublicKey:
		return fmt.Sprint(k.Curve())
	case *dsa.PublicKey:
		return "DSA"
	}
	return ""
}

// spkiOf is the SHA-256 of a public key's SubjectPublicKeyInfo, "" where it has
// none.
func spkiOf(key any) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return ""
	}
	return spkiHash(der)
}

func spkiHash(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// selfIssued reports whether subject and issuer are one name.
func (c Certificate) selfIssued() bool {
	return c.Subject == c.Issuer && c.Subject != ""
}

// utc is a time in UTC, zero where its year has not four digits there, which JSON
// cannot say.
func utc(at time.Time) time.Time {
	if at = at.UTC(); at.Year() < 1 || at.Year() > 9999 {
		return time.Time{}
	}
	return at
}
