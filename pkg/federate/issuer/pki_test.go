// SPDX-License-Identifier: Apache-2.0

package issuer_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
)

// rootPEM is a self-signed root, good but for what spoil does to it.
func rootPEM(t *testing.T, spoil func(*x509.Certificate)) (certPEM, keyPEM []byte) {
	t.Helper()
	key, err := issuer.Profile{KeyType: issuer.ECDSAP256}.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "Given Root"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(24 * time.Hour),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	spoil(c)
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if keyPEM, err = issuer.EncodeKey(key); err != nil {
		t.Fatal(err)
	}
	return issuer.EncodeCertificates(&x509.Certificate{Raw: der}), keyPEM
}

func csrWith(t *testing.T, key crypto.Signer, template *x509.CertificateRequest) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
