// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

const (
	ownDomain = "mesh.example"
	alias     = "old.example"
)

// ca is a root and the intermediate of one cluster.
type ca struct {
	root, inter *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, tmpl, parent *x509.Certificate, pub, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	tmpl.SerialNumber, _ = rand.Int(rand.Reader, big.NewInt(1<<62))
	if tmpl.NotBefore.IsZero() {
		tmpl.NotBefore, tmpl.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &pub.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func newCA(t testing.TB) *ca {
	t.Helper()
	authority := func(name string) *x509.Certificate {
		return &x509.Certificate{
			Subject: pkix.Name{Organization: []string{"meshprobe"}, CommonName: name},
			IsCA:    true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
	}
	rootKey, interKey := newKey(t), newKey(t)
	tmpl := authority("root")
	root := sign(t, tmpl, tmpl, rootKey, rootKey)
	return &ca{root: root, inter: sign(t, authority("intermediate"), root, interKey, rootKey), key: interKey}
}

// svid issues an identity; change may spoil the template.
func (a *ca) svid(t testing.TB, id string, change ...func(*x509.Certificate)) *cluster.Identity {
	t.Helper()
	tmpl := &x509.Certificate{
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	if id != "" {
		uri, err := url.Parse(id)
		if err != nil {
			t.Fatal(err)
		}
		tmpl.URIs = []*url.URL{uri}
	}
	for _, c := range change {
		c(tmpl)
	}
	key := newKey(t)
	leaf := sign(t, tmpl, a.inter, key, a.key)
	return cluster.NewIdentity(id, []*x509.Certificate{leaf, a.inter}, []*x509.Certificate{a.root}, key)
}

func spiffe(td, sa string) string { return cluster.SPIFFEID(td, "shop", sa) }

func fixed[T any](v T) func() T { return func() T { return v } }

// clientTLS presents id, nil for no certificate, and verifies nothing: the
// server is what is tested.
func clientTLS(id *cluster.Identity, alpn ...string) *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true,
		NextProtos:         alpn,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if id == nil {
				return &tls.Certificate{}, nil
			}
			return id.TLS(), nil
		},
	}
}
