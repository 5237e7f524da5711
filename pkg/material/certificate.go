// SPDX-License-Identifier: Apache-2.0

package material

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// Certificate is one certificate: its bytes, where it stood, and what can be
// read of it. Where Error is set, crypto/x509 refuses it and the facts are what
// is still readable; the others are zero.
type Certificate struct {
	DER DER `json:"pem"` // as JSON it is PEM
	// Entry is the file or data key, empty where the input is one text.
	Entry string `json:"entry,omitempty"`
	// Line is where its BEGIN line stands in the text of the entry, 0 for DER.
	Line int `json:"line,omitempty"`
	// Error is why crypto/x509 cannot parse it, in its words.
	Error string `json:"error,omitempty"`
	Facts
}

// Facts are the contents of a certificate that people compare.
type Facts struct {
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Serial    string    `json:"serial,omitempty"` // hex, with a minus where negative
	URIs      []string  `json:"uris,omitempty"`
	DNSNames  []string  `json:"dnsNames,omitempty"`
	IPs       []string  `json:"ips,omitempty"`
	NotBefore time.Time `json:"notBefore,omitzero"`
	NotAfter  time.Time `json:"notAfter,omitzero"`
	CA        bool      `json:"ca,omitempty"`
	SPKI      string    `json:"spki,omitempty"`      // SHA-256 of the SubjectPublicKeyInfo, 64 hex digits
	SKI       string    `json:"ski,omitempty"`       // subject key identifier, hex
	AKI       string    `json:"aki,omitempty"`       // authority key identifier, hex
	Key       string    `json:"key,omitempty"`       // "ECDSA P-256", "RSA 2048", "Ed25519"
	Signature string    `json:"signature,omitempty"` // "ECDSA-SHA256"
}

// DER is the bytes of a certificate. As JSON it is PEM.
type DER []byte

// MarshalText is PEM.
func (d DER) MarshalText() ([]byte, error) { return armour("CERTIFICATE", d), nil }

// UnmarshalText reads PEM.
func (d *DER) UnmarshalText(text []byte) (err error) {
	*d, err = unarmour("CERTIFICATE", text)
	return err
}

// RequestDER is the bytes of a signing request. As JSON it is PEM.
type RequestDER []byte

// MarshalText is PEM.
func (d RequestDER) MarshalText() ([]byte, error) { return armour("CERTIFICATE REQUEST", d), nil }

// UnmarshalText reads PEM.
func (d *RequestDER) UnmarshalText(text []byte) (err error) {
	*d, err = unarmour("CERTIFICATE REQUEST", text)
	return err
}

// ListDER is the bytes of a revocation list. As JSON it is PEM.
type ListDER []byte

// MarshalText is PEM.
func (d ListDER) MarshalText() ([]byte, error) { return armour("X509 CRL", d), nil }

// UnmarshalText reads PEM.
func (d *ListDER) UnmarshalText(text []byte) (err error) {
	*d, err = unarmour("X509 CRL", text)
	return err
}

func armour(kind string, der []byte) []byte {
	if len(der) == 0 {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func unarmour(kind string, text []byte) ([]byte, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("material: no PEM block")
	}
	if block.Type != kind {
		return nil, fmt.Errorf("material: a block of type %q where %q belongs", block.Type, kind)
	}
	return block.Bytes, nil
}

// X509 parses the certificate; the error is crypto/x509's.
func (c Certificate) X509() (*x509.Certificate, error) {
	return x509.ParseCertificate(c.DER)
}

// Parsed gives those of the certificates that crypto/x509 can read, in order.
func Parsed(certs []Certificate) []*x509.Certificate {
	out := make([]*x509.Certificate, 0, len(certs))
	for _, c := range certs {
		if cert, err := c.X509(); err == nil {
			out = append(out, cert)
		}
	}
	return out
}

// Key is a private key that was recognised. Nothing of its private half is here.
type Key struct {
	Entry string `json:"entry,omitempty"`
	Line  int    `json:"line,omitempty"`
	// Encoding is "PKCS#8", "PKCS#1", "SEC 1", "PKIX" (a public key),
	// "PKCS#8 encrypted", "PEM encrypted", "OpenSSH" or "redacted" (an Envoy dump).
	Encoding string `json:"encoding"`
	// Public says that it is the public half only.
	Public    bool   `json:"public,omitempty"`
	Encrypted bool   `json:"encrypted,omitempty"` // under a passphrase, so not read any further
	Redacted  bool   `json:"redacted,omitempty"`  // left out by who wrote the dump
	Type      string `json:"type,omitempty"`      // "ECDSA P-256", "RSA 2048", "Ed25519"
	SPKI      string `json:"spki,omitempty"`      // SHA-256 of the public half, as Facts.SPKI
	// Matches says whether it is the key of the certificate beside it: of CACert,
	// else of the first of Certificates. It is null where that cannot be known.
	Matches *bool `json:"matches,omitempty"`
	// Error is why it cannot be read, never a part of it.
	Error string `json:"error,omitempty"`
}

// Request is a certificate signing request.
type Request struct {
	DER  RequestDER `json:"pem"`
	Line int        `json:"line,omitempty"`
	// Error is why crypto/x509 cannot parse it; then there are no facts.
	Error string `json:"error,omitempty"`
	// SignatureError is why the request is not signed with its own key.
	SignatureError string   `json:"signatureError,omitempty"`
	Subject        string   `json:"subject"`
	URIs           []string `json:"uris,omitempty"`
	DNSNames       []string `json:"dnsNames,omitempty"`
	IPs            []string `json:"ips,omitempty"`
	CA             bool     `json:"ca,omitempty"` // it asks to become a CA
	SPKI           string   `json:"spki,omitempty"`
	Key            string   `json:"key,omitempty"`
	Signature      string   `json:"signature,omitempty"`
	Extensions     []string `json:"extensions,omitempty"` // OIDs asked for
}

// RevocationList is a CRL.
type RevocationList struct {
	// DER is left out for lists of more than a mebibyte.
	DER   ListDER `json:"pem,omitempty"`
	Bytes int     `json:"bytes"`
	Entry string  `json:"entry,omitempty"`
	Line  int     `json:"line,omitempty"`
	// Error is why crypto/x509 cannot parse it; then there are no facts.
	Error      string    `json:"error,omitempty"`
	Issuer     string    `json:"issuer"`
	AKI        string    `json:"aki,omitempty"`    // hex
	Number     string    `json:"number,omitempty"` // decimal
	ThisUpdate time.Time `json:"thisUpdate,omitzero"`
	NextUpdate time.Time `json:"nextUpdate,omitzero"`
	Signature  string    `json:"signature,omitempty"`
	Revoked    int       `json:"revoked"`           // how many certificates it revokes
	Serials    []string  `json:"serials,omitempty"` // hex, of the first of them
	// Delta says that it is a delta CRL, Scoped that an issuing distribution point
	// narrows it; Envoy takes neither for a full list.
	Delta  bool `json:"delta,omitempty"`
	Scoped bool `json:"scoped,omitempty"`
}

// X509 parses the list; the error is crypto/x509's.
func (l RevocationList) X509() (*x509.RevocationList, error) {
	return x509.ParseRevocationList(l.DER)
}
