// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Foreign makes an identity that claims the SPIFFE ID id under a root that
// nobody knows: freshly made, with a name of its own, so that a verifier
// refuses it for one reason only, an unknown issuer.
func Foreign(id string, at time.Time) (*cluster.Identity, error) {
	uri, err := url.Parse(id)
	if err != nil {
		return nil, fmt.Errorf("seen: foreign identity: %w", err)
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("seen: foreign root: %w", err)
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "meshprobe foreign root", Organization: []string{"meshprobe control"}},
		NotBefore: at.Add(-time.Hour), NotAfter: at.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootCert, err := sign(root, root, rootKey.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("seen: foreign leaf: %w", err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), URIs: []*url.URL{uri},
		NotBefore: at.Add(-time.Hour), NotAfter: at.Add(time.Hour), BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	leafCert, err := sign(leaf, rootCert, key.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	return cluster.NewIdentity(id, []*x509.Certificate{leafCert}, []*x509.Certificate{rootCert}, key), nil
}

func sign(template, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		return nil, fmt.Errorf("seen: sign: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("seen: sign: %w", err)
	}
	return cert, nil
}
