// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// check says whether the root can sign intermediates now.
func (r *Root) check(source string, now time.Time) error {
	fail := func(p Problem, hint, format string, args ...any) error {
		return &RootError{Problem: p, Source: source, Msg: fmt.Sprintf(format, args...), Hint: hint}
	}
	c := r.Cert
	switch {
	case !c.BasicConstraintsValid || !c.IsCA:
		return fail(RootNotCA, "give a certificate with basicConstraints CA:TRUE", "%q is not a CA certificate", c.Subject)
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return fail(RootNotCA, "give a certificate whose key usage has keyCertSign", "the key usage of %q does not allow it to sign certificates", c.Subject)
	case !bytes.Equal(c.RawIssuer, c.RawSubject) || c.CheckSignatureFrom(c) != nil:
		return fail(RootNotSelfSigned, "give the root itself, not an authority that it signed", "%q was issued by %q, so it is not a root", c.Subject, c.Issuer)
	case c.MaxPathLen == 0:
		return fail(RootPathLen, "give a root without a path length, or with one of at least 1", "the path length 0 of %q leaves no room for an intermediate", c.Subject)
	case now.After(c.NotAfter):
		return fail(RootExpired, "make a new root: name another --root-dir, or move the old one away", "%q expired on %s", c.Subject, c.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(c.NotBefore):
		return fail(RootNotYetValid, "check the clock of this machine", "%q is valid only from %s", c.Subject, c.NotBefore.UTC().Format(time.RFC3339))
	}
	if r.key == nil {
		return fail(RootWithoutKey, "give its key too (--root-key)", "%q has no private key here", c.Subject)
	}
	if pub, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(r.key.Public()) {
		return fail(RootKeyMismatch, "give the key that belongs to this certificate", "the private key does not match %q", c.Subject)
	}
	return nil
}

// ParseRoot reads a root from PEM: one certificate and its key. Errors are
// [*RootError]; source names where the bytes come from.
func ParseRoot(certPEM, keyPEM []byte, source string) (*Root, error) {
	r := &Root{}
	var err error
	if len(bytes.TrimSpace(certPEM)) == 0 {
		return nil, &RootError{Problem: KeyWithoutRoot, Source: source, Msg: "a root key without its certificate", Hint: "give the certificate too (--root-cert)"}
	}
	if r.Cert, err = parseCert(certPEM); err != nil {
		return nil, &RootError{Problem: RootUnreadable, Source: source, Msg: "the certificate cannot be read", Hint: "give one certificate in PEM", Err: err}
	}
	if len(bytes.TrimSpace(keyPEM)) == 0 {
		return nil, &RootError{Problem: RootWithoutKey, Source: source, Msg: fmt.Sprintf("%q has no private key here", r.Cert.Subject), Hint: "give its key too (--root-key), or move the certificate away to make a new root"}
	}
	if r.key, err = ParseKey(keyPEM); err != nil {
		return nil, &RootError{Problem: RootUnreadable, Source: source, Msg: "the private key cannot be read", Hint: "give an unencrypted RSA or ECDSA key in PEM", Err: err}
	}
	return r, nil
}

func parseCert(data []byte) (*x509.Certificate, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("no PEM block of type CERTIFICATE")
	}
	if next, _ := pem.Decode(rest); next != nil {
		return nil, errors.New("more than one PEM block")
	}
	return x509.ParseCertificate(block.Bytes)
}

// ParseKey reads a private key from PEM: PKCS #8, PKCS #1 or SEC 1. Its errors
// never hold key material.
func ParseKey(data []byte) (crypto.Signer, error) {
	for {
		var block *pem.Block
		block, data = pem.Decode(data)
		if block == nil {
			return nil, errors.New("no PEM block of a private key")
		}
		switch block.Type {
		case "EC PARAMETERS": // openssl ecparam -genkey writes them first
			continue
		case "EC PRIVATE KEY":
			key, err := x509.ParseECPrivateKey(block.Bytes)
			if err != nil {
				return nil, errors.New("not an EC key")
			}
			return key, nil
		case "RSA PRIVATE KEY":
			key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
			if err != nil {
				return nil, errors.New("not an RSA key, or an encrypted one")
			}
			return key, nil
		case "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, errors.New("not a PKCS #8 key")
			}
			if s, ok := key.(crypto.Signer); ok {
				return s, nil
			}
			return nil, fmt.Errorf("a %T cannot sign", key)
		default:
			return nil, errors.New("not an unencrypted RSA or EC key")
		}
	}
}
