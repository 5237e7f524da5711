// SPDX-License-Identifier: Apache-2.0

package citadel

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// The lifetimes of istiod's CA.
const (
	DefaultTTL     = 24 * time.Hour      // DEFAULT_WORKLOAD_CERT_TTL
	MaxTTL         = 90 * 24 * time.Hour // MAX_WORKLOAD_CERT_TTL
	clockSkewGrace = 2 * time.Minute     // ClockSkewGracePeriod
)

// ErrCSR marks a request that the CA refuses because of what it asks for: a
// malformed CSR, or more lifetime than the CA gives.
var ErrCSR = errors.New("CSR signing error")

// Sign issues a workload leaf for a PEM CSR. What the CSR asks to be called is
// ignored: the SANs are ids, the identities of the authenticated caller. The
// result is CreateCertificate's response: the leaf, each certificate of
// cert-chain.pem, and last the whole of root-cert.pem.
func (ca *CA) Sign(csrPEM []byte, ids []string, ttl time.Duration, now time.Time) ([]string, error) {
	block, _ := pem.Decode(csrPEM)
	if block == nil {
		return nil, fmt.Errorf("%w: certificate signing request is not properly encoded", ErrCSR)
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: failed to parse X.509 certificate signing request: %w", ErrCSR, err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCSR, err)
	}
	switch {
	case ttl > MaxTTL:
		return nil, fmt.Errorf("%w: requested TTL %s is greater than the max allowed TTL %s", ErrCSR, ttl, MaxTTL)
	case ttl <= 0:
		ttl = min(DefaultTTL, ca.notAfter.Sub(now))
	}
	template, err := ca.template(now, ttl)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		u, err := url.Parse(id)
		if err != nil {
			return nil, fmt.Errorf("%w: identity %q: %w", ErrCSR, id, err)
		}
		template.URIs = append(template.URIs, u)
	}
	der, err := ca.issue(template, csr.PublicKey, now)
	if err != nil {
		return nil, err
	}
	response := []string{string(encodeCert(der))}
	for _, c := range ca.chain {
		response = append(response, string(encodeCert(c.Raw)))
	}
	return append(response, string(ca.rootPEM)), nil
}

// ServerCertificate issues the certificate that istiod serves under its DNS
// names. It is signed by the same CA; its chain is cert-chain.pem.
func (ca *CA) ServerCertificate(names []string, now time.Time) (*tls.Certificate, error) {
	curve := elliptic.P256()
	if pub, ok := ca.cert.PublicKey.(*ecdsa.PublicKey); ok && pub.Curve == elliptic.P384() {
		curve = elliptic.P384()
	}
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("citadel: generate key: %w", err)
	}
	template, err := ca.template(now, min(365*24*time.Hour, ca.notAfter.Sub(now)))
	if err != nil {
		return nil, err
	}
	template.DNSNames = names
	der, err := ca.issue(template, key.Public(), now)
	if err != nil {
		return nil, err
	}
	served := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	for _, c := range ca.chain {
		served.Certificate = append(served.Certificate, c.Raw)
	}
	return served, nil
}

// template is what all leaves share. Go makes the SAN critical because the
// subject is empty (RFC 5280 §4.2.1.6).
func (ca *CA) template(now time.Time, ttl time.Duration) (*x509.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	notAfter := now.Add(ttl)
	if notAfter.After(ca.cert.NotAfter) {
		notAfter = ca.cert.NotAfter
	}
	return &x509.Certificate{
		SerialNumber:          serial,
		NotBefore:             now.Add(-clockSkewGrace),
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}, nil
}

func (ca *CA) issue(template *x509.Certificate, public crypto.PublicKey, now time.Time) ([]byte, error) {
	if !now.Before(ca.cert.NotAfter) {
		return nil, fmt.Errorf("signing certificate has expired at %s", ca.cert.NotAfter.UTC().Format(time.RFC3339))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, public, ca.key)
	if err != nil {
		return nil, fmt.Errorf("citadel: sign: %w", err)
	}
	return der, nil
}
