// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
)

// Identity is an X.509 SVID with its private key and the trust anchors that
// its issuer handed out with it. Treat it as read-only.
type Identity struct {
	ID           string              // the SPIFFE ID asked for
	Certificates []*x509.Certificate // leaf first, then the intermediates
	Roots        []*x509.Certificate // trust anchors, as the CA returned them
	key          crypto.Signer
}

// NewIdentity joins what a CA returned with the key that it was issued for.
func NewIdentity(id string, certs, roots []*x509.Certificate, key crypto.Signer) *Identity {
	return &Identity{ID: id, Certificates: certs, Roots: roots, key: key}
}

// TLS is the identity as crypto/tls wants it. The chain is sent as the CA
// gave it, without the trust anchors.
func (i *Identity) TLS() *tls.Certificate {
	c := &tls.Certificate{PrivateKey: i.key}
	for _, cert := range i.Certificates {
		c.Certificate = append(c.Certificate, cert.Raw)
	}
	if len(i.Certificates) > 0 {
		c.Leaf = i.Certificates[0]
	}
	return c
}

// String is the SPIFFE ID, so that no verb of fmt reaches the key.
func (i *Identity) String() string { return i.ID }

// GoString is String.
func (i *Identity) GoString() string { return i.ID }

// MarshalText is the SPIFFE ID.
func (i *Identity) MarshalText() ([]byte, error) { return []byte(i.ID), nil }

// LogValue is the SPIFFE ID.
func (i *Identity) LogValue() slog.Value { return slog.StringValue(i.ID) }

var _ slog.LogValuer = (*Identity)(nil)
