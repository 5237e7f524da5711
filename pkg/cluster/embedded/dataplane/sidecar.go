// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
)

// Sidecar is the inbound listener of an Envoy beside a workload, for one port
// of the application (istio pilot/pkg/networking/core/listener_inbound.go). It
// looks at the first bytes of a connection, chooses a filter chain by mode,
// declared protocol and ALPN, and hands the application plaintext.
//
// The fields must not change while Serve runs; the functions are called from
// many goroutines.
type Sidecar struct {
	// Identity is the current SVID with the roots that clients are verified
	// against, asked once per handshake; the same pointer means the same
	// identity. nil means that no certificate was issued yet: TLS is reset.
	Identity func() *cluster.Identity

	// TrustDomains admits clients: the mesh's own, then its aliases.
	TrustDomains func() []string

	// Anonymous says that clients without a certificate are let in, as an
	// EnvoyFilter with require_client_certificate: false makes Envoy do. nil
	// lets nobody in.
	Anonymous func() bool

	// Mode is the PeerAuthentication mode in force.
	Mode func() cluster.MTLSMode

	// Protocol is how the port is declared: http, tcp or auto.
	Protocol string

	// App is the application. The connection is closed when it returns, and
	// under its hands when the listener's context is done.
	App App

	// Now judges validity periods; nil means time.Now.
	Now func() time.Time

	// SendRoot appends the trust anchor to the chain that is presented, as
	// Istio's agent does with what the CA returned.
	SendRoot bool

	Limits Limits

	profiles profiles // for mutual TLS
	onesided profiles // for clients without a certificate
}

// Serve accepts connections until ctx is done (it closes ln and returns nil) or
// ln fails. It returns after every connection has ended.
func (s *Sidecar) Serve(ctx context.Context, ln net.Listener) error {
	return serve(ctx, ln, s.Limits, s.handle)
}

func (s *Sidecar) handle(ctx context.Context, c net.Conn, _ *conns) {
	mode := s.Mode()
	if mode == cluster.Disable {
		// Without TLS there is nothing to inspect: a server may even speak first.
		s.App(ctx, c)
		return
	}
	until(c, s.Limits.handshake())
	p := peeker{src: c}
	hello, err := p.hello()
	if err != nil && !silent(err, p.buf) {
		return
	}
	switch kind := choose(mode, s.Protocol, hello); kind {
	case chainNone:
		if hello == nil {
			reset(c)
		}
	case chainPlain:
		forever(c)
		s.App(ctx, &replayed{Conn: c, ahead: p.buf})
	case chainHTTP, chainTCP:
		s.terminate(ctx, &replayed{Conn: c, ahead: p.buf}, kind.alpn(hello.alpn))
	}
}

// silent says that the peer waits for the server to speak: Istio goes on with
// the plaintext chain then (continue_on_listener_filters_timeout).
func silent(err error, read []byte) bool {
	return len(read) == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}

func (s *Sidecar) terminate(ctx context.Context, c *replayed, alpn string) {
	id := s.Identity()
	if id == nil {
		reset(c.Conn)
		return
	}
	config := s.profiles.get(id, alpn, s.config)
	if s.Anonymous != nil && s.Anonymous() {
		config = s.onesided.get(id, alpn, oneSided)
	}
	secure := tls.Server(c, config)
	if !shake(secure, c.Conn) {
		return
	}
	s.App(ctx, secure)
	_ = secure.Close()
}

func (s *Sidecar) config(id *cluster.Identity) *tls.Config {
	cfg := serverTLS(id, policy{say: verifier.Envoy, trustDomains: s.TrustDomains, now: s.Now, sendRoot: s.SendRoot})
	// meshConfig.meshMTLS.minProtocolVersion is TLSV1_2 by default.
	cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS12, tls.VersionTLS13
	cfg.CipherSuites = []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	}
	return cfg
}

// oneSided is TLS that proves the server only.
func oneSided(id *cluster.Identity) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{*id.TLS()}, MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true}
}
