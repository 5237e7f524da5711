// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Dialer opens tunnels as a ztunnel does: TCP, mutual TLS 1.3 with ALPN h2 and
// no SNI, SETTINGS, CONNECT. One Dialer stands for one identity. Its fields
// must not change after the first use; it must not be copied. It keeps one
// connection per target, or more when the peer's stream limit asks for it,
// until [Dialer.Close].
type Dialer struct {
	// TLS is the base of every handshake and required; see [ClientTLS]. The
	// profile (TLS 1.3, h2, no SNI, no resumption) is forced on a copy. It must
	// have VerifyConnection.
	TLS *tls.Config
	// Dial opens the TCP stream; nil means a net.Dialer.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Header is sent with every CONNECT: baggage, forwarded, traceparent.
	Header http.Header
	// Settings are the limits granted to peers; zero fields mean ztunnel's.
	Settings Settings
	// Timeout bounds a connection's set-up (TCP, TLS and SETTINGS together), and
	// each CONNECT, where ctx has no deadline. 0 means 15 s.
	Timeout time.Duration
	// KeepAlive is the period of PING, KeepAliveTimeout the time for its answer
	// and for one write. 0 means 10 s and 20 s; a negative KeepAlive means none.
	KeepAlive, KeepAliveTimeout time.Duration
	// AllowAnonymous accepts servers that ask for no client certificate; without
	// it they are ErrNoClientCertRequest. [Session.CertificateRequest] tells.
	AllowAnonymous bool
	// AsGiven keeps the SNI, the versions and the ALPN of TLS, to see what a peer
	// makes of others than a ztunnel's. A connection still needs h2.
	AsGiven bool
	// Wrap, if set, is put around the stream under TLS, the inner layer's
	// included.
	Wrap func(net.Conn) net.Conn
	// Now is the clock of certificate verification; nil means time.Now.
	Now func() time.Time

	mu      sync.Mutex
	targets map[string]*target
	closed  bool
}

// target is one address; lock is held while a connection to it is made, so that
// concurrent dials share one handshake.
type target struct {
	lock     chan struct{}
	sessions []*Session // guarded by Dialer.mu
}

// DialContext opens a tunnel to authority through the HBONE peer at addr
// ("IP:port"). It uses a connection that the Dialer has to addr, if that is
// alive and the peer's stream limit leaves room, and makes one otherwise.
// Closing the Conn leaves the connection to the Dialer. All errors are [*Error].
func (d *Dialer) DialContext(ctx context.Context, addr, authority string) (*Conn, error) {
	for attempt := 0; ; attempt++ {
		s, reused, err := d.session(ctx, addr)
		if err != nil {
			return nil, err
		}
		c, err := s.Open(ctx, authority, nil)
		// A connection may die between its choice and its use; a new one decides.
		if err != nil && reused && attempt == 0 && s.Err() != nil && ctx.Err() == nil {
			continue
		}
		return c, err
	}
}

func (d *Dialer) session(ctx context.Context, addr string) (s *Session, reused bool, err error) {
	t, err := d.target(addr)
	if err != nil {
		return nil, false, err
	}
	select {
	case t.lock <- struct{}{}:
		defer func() { <-t.lock }()
	case <-ctx.Done():
		return nil, false, &Error{Phase: PhaseDial, Target: addr, Err: context.Cause(ctx)}
	}
	if s := d.pick(t); s != nil {
		return s, true, nil
	}
	if s, err = d.Connect(ctx, addr); err != nil {
		return nil, false, err
	}
	d.mu.Lock()
	closed := d.closed
	if !closed {
		t.sessions = append(t.sessions, s)
	}
	d.mu.Unlock()
	if closed {
		_ = s.Close()
		return nil, false, &Error{Phase: PhaseDial, Target: addr, Err: net.ErrClosed}
	}
	return s, false, nil
}

func (d *Dialer) target(addr string) (*target, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, &Error{Phase: PhaseDial, Target: addr, Err: net.ErrClosed}
	}
	t := d.targets[addr]
	if t == nil {
		t = &target{lock: make(chan struct{}, 1)}
		if d.targets == nil {
			d.targets = make(map[string]*target)
		}
		d.targets[addr] = t
	}
	return t, nil
}

// pick returns a usable session of t and lets go of the dead ones. One that
// only received GOAWAY stays until its last tunnel ends.
func (d *Dialer) pick(t *target) *Session {
	d.mu.Lock()
	var found *Session
	var dead []*Session
	keep := t.sessions[:0]
	for _, s := range t.sessions {
		if s.Err() != nil && s.Streams() == 0 {
			dead = append(dead, s)
			continue
		}
		keep = append(keep, s)
		if found == nil && s.available() {
			found = s
		}
	}
	clear(t.sessions[len(keep):])
	t.sessions = keep
	d.mu.Unlock()
	for _, s := range dead {
		_ = s.Close()
	}
	return found
}

// Close closes every connection of [Dialer.DialContext] and the tunnels on
// them, and returns when their goroutines are gone. Sessions of
// [Dialer.Connect] belong to their callers.
func (d *Dialer) Close() error {
	d.mu.Lock()
	d.closed = true
	var all []*Session
	for _, t := range d.targets {
		all = append(all, t.sessions...)
		t.sessions = nil
	}
	d.mu.Unlock()
	var wg sync.WaitGroup
	for _, s := range all {
		wg.Go(func() { _ = s.Close() })
	}
	wg.Wait()
	return nil
}

// Connect makes a fresh connection to addr up to the peer's SETTINGS. The
// caller closes it. All errors are [*Error].
func (d *Dialer) Connect(ctx context.Context, addr string) (*Session, error) {
	ctx, cancel := withTimeout(ctx, d.timeout())
	defer cancel()
	dial := d.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, &Error{Phase: PhaseDial, Target: addr, Err: err}
	}
	return d.handshake(ctx, conn, addr, nil)
}

// Handshake is [Dialer.Connect] over a stream that the caller has opened and
// hands over; addr is only its name in errors. On failure conn is closed.
func (d *Dialer) Handshake(ctx context.Context, conn net.Conn, addr string) (*Session, error) {
	ctx, cancel := withTimeout(ctx, d.timeout())
	defer cancel()
	return d.handshake(ctx, conn, addr, nil)
}

func (d *Dialer) handshake(ctx context.Context, conn net.Conn, addr string, outer *Conn) (*Session, error) {
	layer := LayerOuter
	if outer != nil {
		layer = LayerInner
	}
	if d.Wrap != nil {
		conn = d.Wrap(conn)
	}
	fail := func(err error) (*Session, error) {
		_ = conn.Close()
		return nil, &Error{Phase: PhaseHandshake, Layer: layer, Target: addr, Err: err}
	}
	cfg, rec, err := clientConfig(d.TLS, d.Now, d.AsGiven)
	if err != nil {
		return fail(err)
	}
	under := &corked{Conn: conn}
	tc := tls.Client(under, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		return fail(handshakeError(ctx, err))
	}
	if got := tc.ConnectionState().NegotiatedProtocol; got != alpnH2 {
		return fail(&ALPNError{Got: got})
	}
	if !rec.Seen() && !d.AllowAnonymous {
		return fail(ErrNoClientCertRequest)
	}
	m := newMux(tc, under, true, d.Settings, orDefault(d.KeepAlive, defaultKeepAlive), orDefault(d.KeepAliveTimeout, defaultKeepAliveTimeout))
	m.layer, m.target = layer, addr
	s := &Session{m: m, timeout: d.timeout(), header: d.Header, request: rec, outer: outer}
	m.start()
	if err := m.settle(ctx); err != nil {
		_ = s.Close()
		phase := PhaseSettings
		if _, ok := RemoteAlert(err); ok {
			phase = PhaseHandshake
		}
		return nil, &Error{Phase: phase, Layer: layer, Target: addr, Err: err}
	}
	return s, nil
}

// handshakeError prefers the context's own reason: crypto/tls reports a closed
// connection where a deadline was missed.
func handshakeError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return err
}

func (d *Dialer) timeout() time.Duration { return orDefault(d.Timeout, defaultTimeout) }

func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}
