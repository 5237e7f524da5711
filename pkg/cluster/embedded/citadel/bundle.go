// SPDX-License-Identifier: Apache-2.0

// Package citadel is the certificate authority inside an istiod: the bundle it
// is given or makes for itself, the checks it makes before it signs with it,
// and the leaves it issues. It does no I/O.
//
// Shapes and checks are those of istio/istio security/pkg/pki (ca.go,
// keycertbundle.go, generate_cert.go).
package citadel

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// The keys of Secret cacerts and Secret istio-ca-secret.
const (
	CACertKey    = "ca-cert.pem"
	CAKeyKey     = "ca-key.pem"
	RootCertKey  = "root-cert.pem"
	CertChainKey = "cert-chain.pem"

	// Those of a cacerts of type kubernetes.io/tls.
	TLSCertKey = "tls.crt"
	TLSKeyKey  = "tls.key"
	TLSRootKey = "ca.crt"
)

// selfSignedTTL is CITADEL_SELF_SIGNED_CA_CERT_TTL's default.
const selfSignedTTL = 3650 * 24 * time.Hour

// ErrIncomplete says that a plug-in CA lacks one of its four files.
var ErrIncomplete = errors.New("incomplete signing CA bundle detected")

// SelfSigned makes the CA that an istiod without cacerts makes for itself:
// O=TRUSTDOMAIN, ten years, keyCertSign only. The key is ECDSA P-256, where
// Istio's default is RSA 2048, because many clusters start on one machine. The
// result is the data of Secret istio-ca-secret.
func SelfSigned(trustDomain string, now time.Time) (map[string][]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("citadel: generate key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{trustDomain}},
		NotBefore:             now.Add(-clockSkewGrace),
		NotAfter:              now.Add(selfSignedTTL),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("citadel: self-sign: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("citadel: marshal key: %w", err)
	}
	cert := encodeCert(der)
	return map[string][]byte{
		CACertKey:    cert,
		CAKeyKey:     pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		RootCertKey:  cert,
		CertChainKey: {},
	}, nil
}

// CA signs with one bundle. It is immutable and safe for concurrent use.
type CA struct {
	cert     *x509.Certificate
	key      crypto.Signer
	chain    []*x509.Certificate // of cert-chain.pem
	rootPEM  []byte
	roots    *x509.CertPool
	notAfter time.Time // of the chain, for the default TTL
}

// FromSecret loads the bundle of istio-ca-secret, whose chain is empty.
func FromSecret(data map[string][]byte, now time.Time) (*CA, error) {
	return load(data, now)
}

// FromPlugin loads the four files of a plug-in CA (cacerts), or the three of a
// kubernetes.io/tls Secret where it has a tls.crt, and makes the checks that
// istiod makes at start. The error is what istiod dies of.
func FromPlugin(data map[string][]byte, now time.Time) (*CA, error) {
	needed := []string{CACertKey, CAKeyKey, RootCertKey, CertChainKey}
	_, tlsForm := data[TLSCertKey]
	if tlsForm {
		needed = []string{TLSCertKey, TLSKeyKey, TLSRootKey}
	}
	for _, k := range needed {
		if len(data[k]) == 0 {
			return nil, fmt.Errorf("failed to create an istiod CA: %w: %s is missing", ErrIncomplete, k)
		}
	}
	if tlsForm {
		// Whatever else there is (pilot/pkg/bootstrap/istio_ca.go, detectSigningCABundleAndCRL).
		data = map[string][]byte{
			CACertKey: data[TLSCertKey], CAKeyKey: data[TLSKeyKey], RootCertKey: data[TLSRootKey],
			CertChainKey: slices.Concat(data[TLSCertKey], []byte("\n"), data[TLSRootKey]),
		}
	}
	ca, err := load(data, now)
	if err != nil {
		return nil, fmt.Errorf("failed to create an istiod CA: failed to create CA KeyCertBundle (%w)", err)
	}
	return ca, nil
}

func load(data map[string][]byte, now time.Time) (*CA, error) {
	pair, err := tls.X509KeyPair(data[CACertKey], data[CAKeyKey])
	if err != nil {
		return nil, fmt.Errorf("the cert does not match the key: %w", err)
	}
	// Only the first block of ca-cert.pem counts (pkiutil.ParsePemEncodedCertificate).
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("failed to parse cert PEM: %w", err)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("failed to parse private key PEM: %T cannot sign", pair.PrivateKey)
	}
	ca := &CA{cert: cert, key: key, rootPEM: data[RootCertKey], roots: x509.NewCertPool(), notAfter: cert.NotAfter}
	if !ca.roots.AppendCertsFromPEM(ca.rootPEM) {
		return nil, errors.New("failed to add certificates from root cert file to cert pool")
	}
	intermediates := x509.NewCertPool()
	if ca.chain, err = ParseCertificates(data[CertChainKey]); err != nil {
		return nil, fmt.Errorf("failed to parse cert chain: %w", err)
	}
	for _, c := range ca.chain {
		intermediates.AddCert(c)
		if c.NotAfter.Before(ca.notAfter) {
			ca.notAfter = c.NotAfter
		}
	}
	// No KeyUsages: Go then wants serverAuth where an EKU is present, as istiod does.
	if _, err := cert.Verify(x509.VerifyOptions{Roots: ca.roots, Intermediates: intermediates, CurrentTime: now}); err != nil {
		return nil, fmt.Errorf("cannot verify the cert with the provided root chain and cert pool with error: %w", err)
	}
	if !cert.IsCA {
		return nil, errors.New("certificate is not authorized to sign other certificates")
	}
	if !now.Before(ca.notAfter) {
		return nil, errors.New("failed to get default cert TTL cert chain has expired")
	}
	return ca, nil
}

// RootPEM is root-cert.pem as istiod distributes it.
func (ca *CA) RootPEM() []byte { return ca.rootPEM }

// Roots verifies against RootPEM. Do not change it.
func (ca *CA) Roots() *x509.CertPool { return ca.roots }

// ParseCertificates reads every certificate of a PEM text, in order.
func ParseCertificates(text []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(certs)+1, err)
		}
		certs = append(certs, c)
	}
	return certs, nil
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func newSerial() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return nil, fmt.Errorf("citadel: serial number: %w", err)
	}
	return n, nil
}
