// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"crypto/tls"
	"fmt"
	"sync"
	"time"
)

const alpnH2 = "h2"

// ClientTLS returns the TLS profile of a ztunnel client (ztunnel src/tls): TLS
// 1.3 only, ALPN h2, no SNI, no resumption, no host name verification.
//
// verify judges the peer in VerifyConnection and is required; it sees the
// chain as the peer sent it, unverified. identity is asked once per handshake
// and its certificate is sent whatever CAs the server names: Go's own choice
// would silently send none when the issuer is not among them, and turn an
// unknown_ca into a misleading certificate_required. A nil identity sends an
// empty certificate, as a peer without identity would.
func ClientTLS(identity func() (*tls.Certificate, error), verify func(tls.ConnectionState) error) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{alpnH2},
		//nolint:gosec // identities are SPIFFE IDs: VerifyConnection judges chain and SAN, a host name has no part in it
		InsecureSkipVerify:     true,
		VerifyConnection:       verify,
		SessionTicketsDisabled: true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if identity == nil {
				return &tls.Certificate{}, nil
			}
			return identity()
		},
	}
}

// CertificateRequest records whether and how a server asked for a client
// certificate in one handshake. It is safe for concurrent use.
type CertificateRequest struct {
	mu   sync.Mutex
	seen bool
	cas  [][]byte
}

// Seen reports whether the server asked.
func (r *CertificateRequest) Seen() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen
}

// AcceptableCAs returns the DER-encoded names of the authorities that the
// server said it trusts (RFC 8446 §4.2.4), nil when it named none. Names are
// not keys: two roots of equal name look like one. The caller must not change
// the bytes.
func (r *CertificateRequest) AcceptableCAs() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cas
}

func (r *CertificateRequest) record(info *tls.CertificateRequestInfo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen, r.cas = true, info.AcceptableCAs
}

// Recording returns a copy of cfg for one handshake and the record of what the
// server asks for in it. The copy always answers a request: with
// cfg.GetClientCertificate, else with the first of cfg.Certificates, else with
// an empty certificate.
func Recording(cfg *tls.Config) (*tls.Config, *CertificateRequest) {
	rec := new(CertificateRequest)
	out := cfg.Clone()
	answer := cfg.GetClientCertificate
	certs := cfg.Certificates
	out.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		rec.record(info)
		switch {
		case answer != nil:
			return answer(info)
		case len(certs) > 0:
			return &certs[0], nil
		default:
			return &tls.Certificate{}, nil
		}
	}
	return out, rec
}

// clientConfig forces the ztunnel profile on a copy of base, or what of it is
// not the caller's choice.
func clientConfig(base *tls.Config, now func() time.Time, asGiven bool) (*tls.Config, *CertificateRequest, error) {
	if base == nil || base.VerifyConnection == nil {
		return nil, nil, fmt.Errorf("%w: a TLS configuration with VerifyConnection is needed, without it any peer would be accepted", ErrConfig)
	}
	cfg, rec := Recording(base)
	if !asGiven {
		cfg.MinVersion = tls.VersionTLS13
		cfg.MaxVersion = 0
		cfg.NextProtos = []string{alpnH2}
		cfg.ServerName = ""
	}
	cfg.InsecureSkipVerify = true
	cfg.ClientSessionCache = nil
	cfg.SessionTicketsDisabled = true
	if cfg.Time == nil && now != nil {
		cfg.Time = now
	}
	return cfg, rec, nil
}

// serverConfig forces HBONE's profile on a copy of base; whether and how client
// certificates are judged stays the caller's.
func serverConfig(base *tls.Config, now func() time.Time) *tls.Config {
	cfg := base.Clone()
	cfg.MinVersion = tls.VersionTLS13
	cfg.MaxVersion = 0
	cfg.NextProtos = []string{alpnH2}
	cfg.SessionTicketsDisabled = true
	if cfg.Time == nil && now != nil {
		cfg.Time = now
	}
	return cfg
}
