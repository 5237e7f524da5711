// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
)

// profiles are the TLS configurations of one listener, built once per identity
// and negotiated protocol and shared by all its connections.
type profiles struct {
	mu  sync.Mutex
	id  *cluster.Identity
	cfg map[string]*tls.Config
}

// get returns the configuration of id for the protocol that is to be
// negotiated ("" none), made by build where it is new.
func (p *profiles) get(id *cluster.Identity, alpn string, build func(*cluster.Identity) *tls.Config) *tls.Config {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.id != id || p.cfg == nil {
		p.id, p.cfg = id, make(map[string]*tls.Config)
	}
	cfg := p.cfg[alpn]
	if cfg == nil {
		cfg = build(id)
		if alpn != "" {
			cfg.NextProtos = []string{alpn}
		}
		p.cfg[alpn] = cfg
	}
	return cfg
}

// policy is how a listener judges clients.
type policy struct {
	say          rules
	trustDomains func() []string
	now          func() time.Time
	sendRoot     bool
}

func (p policy) clock() time.Time {
	if p.now == nil {
		return time.Now()
	}
	return p.now()
}

// serverTLS is what all mTLS listeners of a mesh have in common: TLS 1.3, and
// the client has to present a chain to one of the identity's roots, whose names
// go into the CertificateRequest. crypto/tls judges first, because only its own
// refusals get an alert of their own; the proxy's verifier judges what is left,
// the trust domain above all.
func serverTLS(id *cluster.Identity, p policy) *tls.Config {
	roots := x509.NewCertPool()
	for _, r := range id.Roots {
		roots.AddCert(r)
	}
	cert := id.TLS()
	if p.sendRoot {
		if r := anchor(id); r != nil {
			cert.Certificate = append(cert.Certificate, r.Raw)
		}
	}
	known := new(verdicts)
	return &tls.Config{
		Certificates: []tls.Certificate{*cert},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    roots,
		MinVersion:   tls.VersionTLS13,
		Time:         p.clock,
		// BoringSSL holds tickets back until it writes, ztunnel's never resume.
		SessionTicketsDisabled: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			return known.judge(p.say, s.PeerCertificates, verifier.Options{
				Roots: id.Roots, At: p.clock(), TrustDomains: p.trustDomains(),
			})
		},
	}
}

// byALPN is a configuration that chooses among the profiles of id by the
// protocols that a client offers.
func (p *profiles) byALPN(id *cluster.Identity, pick func(offered []string) string, build func(*cluster.Identity) *tls.Config) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			return p.get(id, pick(hello.SupportedProtos), build), nil
		},
	}
}

// anchor is the root that issued the last certificate of the chain, nil where
// the chain already ends in a self-issued one or no root fits.
func anchor(id *cluster.Identity) *x509.Certificate {
	if len(id.Certificates) == 0 {
		return nil
	}
	last := id.Certificates[len(id.Certificates)-1]
	if bytes.Equal(last.RawIssuer, last.RawSubject) {
		return nil
	}
	for _, r := range id.Roots {
		if bytes.Equal(r.RawSubject, last.RawIssuer) && last.CheckSignatureFrom(r) == nil {
			return r
		}
	}
	return nil
}

// shake runs the handshake of secure over raw, within the deadline that is set
// on raw already. A peer that is refused gets the time to read the alert.
func shake(secure *tls.Conn, raw net.Conn) bool {
	// The end of the listener closes raw, which ends the handshake too, so that
	// a context would only cost another goroutine.
	if err := secure.Handshake(); err != nil { //nolint:noctx // see above
		drain(raw)
		return false
	}
	forever(raw)
	return true
}
