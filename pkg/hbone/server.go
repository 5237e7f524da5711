// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Request is one CONNECT as a [Handler] sees it.
type Request struct {
	Authority  string               // :authority as it came, not judged; see ParseAuthority
	Header     http.Header          // all fields but the pseudo-headers
	TLS        *tls.ConnectionState // nil when the connection has no TLS
	LocalAddr  net.Addr
	RemoteAddr net.Addr
}

// Answer is what a [Handler] decides.
type Answer struct {
	// Status is that of the response; 0 means 200 when Upstream or Serve is set,
	// 503 otherwise. ztunnel's statuses are 200, 400, 401 and 503.
	Status int
	// Header is sent with the response.
	Header http.Header
	// Upstream is bridged to the tunnel after a 200, half-close by half-close,
	// and closed at its end. An error of the upstream resets the stream with
	// CONNECT_ERROR (RFC 9113 §8.5).
	Upstream net.Conn
	// Serve, instead of Upstream, runs the tunnel after a 200; the Conn is
	// closed when it returns. ctx ends with the connection or the server.
	Serve func(ctx context.Context, c *Conn)
}

// Handler decides about one CONNECT. The 200 goes out only when it has
// returned, so it connects upstream first. ctx ends with the stream, the
// connection or the server.
type Handler func(ctx context.Context, r *Request) Answer

// Server terminates HBONE. Its fields must not change after the first use; it
// must not be copied. Requests that are no CONNECT are answered with 400.
type Server struct {
	// TLS is the base of every handshake: certificate and how clients are
	// judged. TLS 1.3, ALPN h2 and no tickets are forced on a copy; as with
	// ztunnel a client without any ALPN is let in. nil means that the conns
	// handed in carry their own TLS, or none.
	TLS *tls.Config
	// Handler is required.
	Handler Handler
	// Settings are the limits granted to clients; zero fields mean ztunnel's.
	Settings Settings
	// Timeout bounds handshake and SETTINGS of a client; 0 means 15 s.
	Timeout time.Duration
	// KeepAlive and KeepAliveTimeout are as in [Dialer].
	KeepAlive, KeepAliveTimeout time.Duration
	// Now is the clock of certificate verification; nil means time.Now.
	Now func() time.Time
	// OnError, if set, is told why a connection failed before or after its
	// SETTINGS; an orderly end is not an error. It is called concurrently.
	OnError func(remote net.Addr, err error)

	mu        sync.Mutex
	wg        sync.WaitGroup
	listeners map[net.Listener]struct{}
	conns     map[*serverConn]struct{}
	cancels   map[int]context.CancelFunc
	nextID    int
	draining  bool
	closed    bool
	tls       *tls.Config
}

// ErrServerClosed is returned by [Server.Serve] after Shutdown or Close.
var ErrServerClosed = errors.New("hbone: server closed")

// Serve accepts connections from l until ctx ends, the server is closed
// (ErrServerClosed) or l fails. It closes l and returns; connections go on
// until Shutdown, Close or the end of ctx.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	defer func() { _ = l.Close() }()
	if !s.track(l) {
		return ErrServerClosed
	}
	defer s.untrack(l)
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		if err != nil {
			if s.isDraining() || ctx.Err() != nil {
				return ErrServerClosed
			}
			return fmt.Errorf("hbone: accept: %w", err)
		}
		s.spawn(ctx, conn)
	}
}

// spawn serves one accepted connection in a goroutine that Close waits for.
func (s *Server) spawn(ctx context.Context, conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining || s.closed {
		_ = conn.Close()
		return
	}
	s.wg.Go(func() { _ = s.ServeConn(ctx, conn) })
}

// ServeConn serves one connection until it ends and closes it: raw TCP when TLS
// is set, else a stream of any kind, such as a *tls.Conn or the [Conn] of an
// outer tunnel. It returns nil after an orderly end.
func (s *Server) ServeConn(ctx context.Context, conn net.Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	id, ok := s.register(cancel)
	if !ok {
		_ = conn.Close()
		return ErrServerClosed
	}
	defer s.unregister(id)
	remote := conn.RemoteAddr()
	err := s.serve(ctx, conn)
	if err != nil && s.OnError != nil {
		s.OnError(remote, err)
	}
	return err
}

func (s *Server) serve(ctx context.Context, conn net.Conn) error {
	timeout := orDefault(s.Timeout, defaultTimeout)
	hctx, cancel := context.WithTimeoutCause(ctx, timeout, errTimeout{timeout})
	defer cancel()
	var under *corked
	if s.TLS != nil {
		under = &corked{Conn: conn}
		conn = tls.Server(under, s.tlsConfig())
	}
	if tc, ok := conn.(*tls.Conn); ok {
		if err := tc.HandshakeContext(hctx); err != nil {
			_ = conn.Close()
			return &Error{Phase: PhaseHandshake, Target: addrString(conn), Err: handshakeError(hctx, err)}
		}
	}
	cancel()
	sc := newServerConn(s, conn, under)
	if !s.add(sc) {
		_ = conn.Close()
		return ErrServerClosed
	}
	defer s.remove(sc)
	return sc.run(ctx, timeout)
}

func addrString(conn net.Conn) string {
	if a := conn.RemoteAddr(); a != nil {
		return a.String()
	}
	return "client"
}

// Shutdown stops accepting, sends GOAWAY on every connection, and waits until
// their tunnels have ended. When ctx ends first, the rest is closed and ctx's
// error returned. No goroutine of the server is left afterwards.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	for l := range s.listeners {
		_ = l.Close()
	}
	conns := make([]*serverConn, 0, len(s.conns))
	for sc := range s.conns {
		conns = append(conns, sc)
	}
	s.mu.Unlock()
	for _, sc := range conns {
		sc.drain()
	}
	stop := context.AfterFunc(ctx, s.abort)
	s.wg.Wait()
	stop()
	_ = s.Close()
	return ctx.Err()
}

// Close ends listeners, connections and tunnels at once, and returns when no
// goroutine of the server is left. ServeConn calls of others return too.
func (s *Server) Close() error {
	s.abort()
	s.wg.Wait()
	return nil
}

func (s *Server) abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining, s.closed = true, true
	for l := range s.listeners {
		_ = l.Close()
	}
	for _, cancel := range s.cancels {
		cancel()
	}
}

func (s *Server) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

func (s *Server) track(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	if s.listeners == nil {
		s.listeners = make(map[net.Listener]struct{})
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) untrack(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *Server) register(cancel context.CancelFunc) (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, false
	}
	if s.cancels == nil {
		s.cancels = make(map[int]context.CancelFunc)
	}
	s.nextID++
	s.cancels[s.nextID] = cancel
	return s.nextID, true
}

func (s *Server) unregister(id int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.cancels, id)
}

func (s *Server) add(sc *serverConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	if s.conns == nil {
		s.conns = make(map[*serverConn]struct{})
	}
	s.conns[sc] = struct{}{}
	return true
}

func (s *Server) remove(sc *serverConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, sc)
}

func (s *Server) tlsConfig() *tls.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tls == nil {
		s.tls = serverConfig(s.TLS, s.Now)
	}
	return s.tls
}
