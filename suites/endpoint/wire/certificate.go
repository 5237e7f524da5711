// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
)

// readCertificate reads a certificate: with crypto/x509, and where that
// refuses it, as far as it can be read. It is total.
func readCertificate(der []byte) Certificate {
	cert, err := x509.ParseCertificate(der)
	if err == nil {
		return describe(cert)
	}
	sum := sha256.Sum256(der)
	c := scavenge(der)
	c.Error = clip(err.Error())
	c.SHA256, c.Bytes = hex.EncodeToString(sum[:]), len(der)
	return c
}

// describe tells what a certificate says that crypto/x509 parsed.
func describe(cert *x509.Certificate) Certificate {
	sum := sha256.Sum256(cert.Raw)
	c := Certificate{
		Subject: clip(cert.Subject.String()), Issuer: clip(cert.Issuer.String()), Serial: clip(cert.SerialNumber.String()),
		NotBefore: cert.NotBefore.UTC(), NotAfter: cert.NotAfter.UTC(),
		DNS: texts(cert.DNSNames), Emails: texts(cert.EmailAddresses),
		CA: cert.IsCA, Key: keyName(cert), Signature: cert.SignatureAlgorithm.String(),
		SPKI: verifier.SPKI(cert), SKI: hex.EncodeToString(cut(cert.SubjectKeyId)), AKI: hex.EncodeToString(cut(cert.AuthorityKeyId)),
		SHA256: hex.EncodeToString(sum[:]), Bytes: len(cert.Raw),
	}
	for _, u := range cert.URIs[:min(len(cert.URIs), maxNames)] {
		c.URIs = append(c.URIs, clip(u.String()))
	}
	for _, ip := range cert.IPAddresses[:min(len(cert.IPAddresses), maxNames)] {
		c.IPs = append(c.IPs, ip.String())
	}
	return c
}

func keyName(cert *x509.Certificate) string {
	switch k := cert.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case ed25519.PublicKey:
		return "Ed25519"
	default:
		return scavenge(cert.Raw).Key
	}
}

func texts(in []string) []string {
	var out []string
	for _, s := range in[:min(len(in), maxNames)] {
		out = append(out, clip(s))
	}
	return out
}

// cut bounds a key identifier.
func cut(b []byte) []byte { return b[:min(len(b), 64)] }

// readOCSP reads a stapled response, nil for none. Nobody's signature is
// verified here.
func readOCSP(der []byte) *OCSP {
	if len(der) == 0 {
		return nil
	}
	out := &OCSP{Status: "unreadable", Bytes: len(der)}
	resp, err := ocsp.ParseResponse(der, nil)
	if err != nil {
		out.Error = clip(err.Error())
		return out
	}
	switch resp.Status {
	case ocsp.Good:
		out.Status = "good"
	case ocsp.Revoked:
		out.Status, out.RevokedAt = "revoked", resp.RevokedAt.UTC()
	default:
		out.Status = "unknown"
	}
	out.ThisUpdate, out.NextUpdate = utc(resp.ThisUpdate), utc(resp.NextUpdate)
	return out
}

// utc keeps the zero time zero.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}

// distinguished are CA names as text, each once, in the order of the server.
func distinguished(names [][]byte) []string {
	var out []string
	for i, der := range names[:min(len(names), maxNames)] {
		if i == 0 || !bytes.Equal(der, names[i-1]) {
			out = append(out, nameOf(der))
		}
	}
	return out
}
