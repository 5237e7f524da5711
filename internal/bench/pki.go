// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// mesh is a root, an intermediate, and two workloads of one mesh.
type mesh struct {
	roots          *x509.CertPool
	client, server *cluster.Identity
}

func newMesh() (*mesh, error) {
	root, rootKey, err := issue(template("root", true), nil, nil)
	if err != nil {
		return nil, err
	}
	inter, interKey, err := issue(template("intermediate", true), root, rootKey)
	if err != nil {
		return nil, err
	}
	m := &mesh{roots: x509.NewCertPool()}
	m.roots.AddCert(root)
	for name, to := range map[string]**cluster.Identity{"reviews": &m.client, "ratings": &m.server} {
		id := cluster.SPIFFEID("cluster.local", "shop", name)
		t := template("", false)
		uri, err := url.Parse(id)
		if err != nil {
			return nil, fmt.Errorf("identity: %w", err)
		}
		t.URIs = []*url.URL{uri}
		leaf, key, err := issue(t, inter, interKey)
		if err != nil {
			return nil, err
		}
		*to = cluster.NewIdentity(id, []*x509.Certificate{leaf, inter}, []*x509.Certificate{root}, key)
	}
	return m, nil
}

func template(cn string, ca bool) *x509.Certificate {
	t := &x509.Certificate{
		Subject:   pkix.Name{CommonName: cn},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		BasicConstraintsValid: true, IsCA: ca, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if ca {
		t.KeyUsage = x509.KeyUsageCertSign
		return t
	}
	t.Subject = pkix.Name{}
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	return t
}

func issue(t, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("key: %w", err)
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return nil, nil, fmt.Errorf("serial: %w", err)
	}
	if parent == nil {
		parent, signer = t, key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), signer)
	if err != nil {
		return nil, nil, fmt.Errorf("sign: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("sign: %w", err)
	}
	return cert, key, nil
}

// verify is crypto/x509's verification of a peer, without a host name.
func (m *mesh) verify(cs tls.ConnectionState) error {
	between := x509.NewCertPool()
	for _, c := range cs.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: m.roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	return err
}

// serverTLS asks for a client certificate of the mesh.
func (m *mesh) serverTLS(alpn ...string) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{*m.server.TLS()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: m.roots,
		NextProtos: alpn, MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true,
	}
}

// clientTLS shows the client's identity and verifies the server.
func (m *mesh) clientTLS(alpn ...string) *tls.Config {
	cert := m.client.TLS()
	return &tls.Config{
		InsecureSkipVerify: true, VerifyConnection: m.verify, NextProtos: alpn, MinVersion: tls.VersionTLS13, // verified in VerifyConnection
		SessionTicketsDisabled: true,
		GetClientCertificate:   func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil },
	}
}
