// SPDX-License-Identifier: Apache-2.0

// Package seen holds the plain values that observations are made of, and the
// functions that see them: certificate chains, TLS handshakes with sidecars,
// HBONE tunnels, CA material, the objects of a control plane.
//
// Everything here survives JSON, holds public data only, and judges nothing:
// a value says what a peer did, a suite says what it should have done.
package seen

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
)

// maxCerts bounds what a peer or an object may make us keep.
const maxCerts = 100

// Certs is certificates as DER, leaf first where they are a chain. As JSON it
// is PEM, one string.
type Certs [][]byte

// FromX509 keeps parsed certificates.
func FromX509(certs []*x509.Certificate) Certs {
	out := make(Certs, 0, len(certs))
	for _, c := range certs {
		out = append(out, c.Raw)
	}
	return out[:min(len(out), maxCerts)]
}

// FromPEM keeps the certificates of a PEM text; blocks of other types and
// anything between blocks are passed over. A text without any is empty.
func FromPEM(text []byte) Certs {
	var out Certs
	for len(out) < maxCerts {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			out = append(out, block.Bytes)
		}
	}
	return out
}

// MarshalText is PEM.
func (c Certs) MarshalText() ([]byte, error) {
	var b bytes.Buffer
	for _, der := range c {
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			return nil, fmt.Errorf("seen: %w", err)
		}
	}
	return b.Bytes(), nil
}

// UnmarshalText reads PEM.
func (c *Certs) UnmarshalText(text []byte) error {
	*c = FromPEM(text)
	if len(*c) == 0 && len(bytes.TrimSpace(text)) > 0 {
		return errors.New("seen: no certificate in PEM text")
	}
	return nil
}

// Parse gives the certificates that crypto/x509 can read; the error names the
// first that it cannot, by position.
func (c Certs) Parse() ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	var first error
	for i, der := range c {
		cert, err := certsSeen.parse(der)
		if err != nil {
			if first == nil {
				first = fmt.Errorf("certificate %d of %d: %w", i+1, len(c), err)
			}
			continue
		}
		certs = append(certs, cert)
	}
	return certs, first
}

// Parsed is Parse without the error.
func (c Certs) Parsed() []*x509.Certificate {
	certs, _ := c.Parse()
	return certs
}

// Leaf is the first certificate, nil where it cannot be read.
func (c Certs) Leaf() *x509.Certificate {
	if len(c) == 0 {
		return nil
	}
	cert, err := certsSeen.parse(c[0])
	if err != nil {
		return nil
	}
	return cert
}

// SPKIs are the SHA-256 hashes of the public keys, sorted, each once.
func (c Certs) SPKIs() []string {
	var out []string
	for _, cert := range c.Parsed() {
		out = append(out, verifier.SPKI(cert))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Describe is one line per certificate: name, key hash, issuer, time left.
func (c Certs) Describe(at time.Time) string {
	var lines []string
	for i, der := range c {
		cert, err := certsSeen.parse(der)
		if err != nil {
			lines = append(lines, fmt.Sprintf("%d: cannot be read: %v", i+1, err))
			continue
		}
		lines = append(lines, fmt.Sprintf("%d: %s", i+1, Describe(cert, at)))
	}
	if len(lines) == 0 {
		return "(no certificate)"
	}
	return strings.Join(lines, "\n")
}

// Describe is one certificate in one line.
func Describe(cert *x509.Certificate, at time.Time) string {
	issuer := Name(cert.Issuer.String())
	if bytes.Equal(cert.RawIssuer, cert.RawSubject) {
		issuer = "itself"
	}
	return fmt.Sprintf("%s, key %s, issued by %s, %s", Subject(cert), ShortKey(cert), issuer, Validity(cert, at))
}

// Subject names a certificate: its URI SANs, else its DN.
func Subject(cert *x509.Certificate) string {
	if len(cert.URIs) > 0 {
		uris := make([]string, len(cert.URIs))
		for i, u := range cert.URIs {
			uris[i] = u.String()
		}
		return strings.Join(uris, " + ")
	}
	return Name(cert.Subject.String())
}

// Name is a DN, or says that it is empty.
func Name(dn string) string {
	if dn == "" {
		return "(empty name)"
	}
	return dn
}

// ShortKey is the start of the SHA-256 of a certificate's public key, enough
// for a person to compare two.
func ShortKey(cert *x509.Certificate) string { return verifier.ShortSPKI(cert) }

// Stamp is a moment as reports write it.
func Stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Validity says how long a certificate is still, or was, valid.
func Validity(cert *x509.Certificate, at time.Time) string {
	switch {
	case at.Before(cert.NotBefore):
		return fmt.Sprintf("not valid before %s (in %s)", Stamp(cert.NotBefore), Span(cert.NotBefore.Sub(at)))
	case at.After(cert.NotAfter):
		return fmt.Sprintf("expired %s (%s ago)", Stamp(cert.NotAfter), Span(at.Sub(cert.NotAfter)))
	default:
		return fmt.Sprintf("valid until %s (%s left)", Stamp(cert.NotAfter), Span(cert.NotAfter.Sub(at)))
	}
}

// Span is a duration as a person says it, rounded down: 364d, 23h, 14m, 9s.
func Span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	default:
		return fmt.Sprintf("%ds", d/time.Second)
	}
}

// ChainEvidence is a chain as evidence.
func ChainEvidence(label string, c Certs, at time.Time) probe.Evidence {
	return probe.Text(label, c.Describe(at)).As(probe.KindChain)
}

// Verdicts turns verifier verdicts into the form of a finding.
func Verdicts(vs []verifier.Verdict) []probe.VerifierVerdict {
	out := make([]probe.VerifierVerdict, len(vs))
	for i, v := range vs {
		out[i] = probe.VerifierVerdict{Verifier: string(v.Verifier), Accepts: v.Accepts, Reason: v.Reason, Clause: v.Clause}
	}
	return out
}

// VerifierOf is the verifier that a kind of peer uses.
func VerifierOf(p cluster.Proxy) verifier.Name {
	switch p {
	case cluster.ProxyEnvoy:
		return verifier.NameEnvoy
	case cluster.ProxyZtunnel:
		return verifier.NameZtunnel
	default:
		return verifier.NameGo
	}
}
