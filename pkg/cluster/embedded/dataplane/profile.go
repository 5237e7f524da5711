// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
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

// serverTLS is what all mTLS listeners of a mesh have in common: the client
// has to present a chain to one of the identity's roots, whose names go into
// the CertificateRequest, and then satisfy judge. Chain faults are left to
// crypto/tls, because only those get an alert of their own.
func serverTLS(id *cluster.Identity, sendRoot bool, now func() time.Time, judge func([]*x509.Certificate) error) *tls.Config {
	roots := x509.NewCertPool()
	for _, r := range id.Roots {
		roots.AddCert(r)
	}
	cert := id.TLS()
	if sendRoot {
		if r := anchor(id); r != nil {
			cert.Certificate = append(cert.Certificate, r.Raw)
		}
	}
	return &tls.Config{
		Certificates: []tls.Certificate{*cert},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    roots,
		MinVersion:   tls.VersionTLS13,
		Time:         now,
		// BoringSSL holds tickets back until it writes, ztunnel's never resume.
		SessionTicketsDisabled: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return errors.New("no client certificate")
			}
			return judge(s.PeerCertificates)
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
