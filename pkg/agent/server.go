// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Defaults of a [Server].
const (
	DefaultStreams     = 256
	DefaultDialTimeout = 10 * time.Second
)

const (
	maxHeader     = 4 << 10
	headerTimeout = 10 * time.Second
)

// HealthPath answers 204 to a GET by anybody, with [IdleHeader].
const HealthPath = "/healthz"

// IdleHeader says for how long no caller was there, as a [time.Duration].
const IdleHeader = "Meshprobe-Idle"

// Server answers CONNECT by dialing from where it runs. The zero value is
// usable; fields must not change after Serve.
type Server struct {
	// Dial opens the stream to a target; nil means a [net.Dialer].
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// DialTimeout bounds each dial; 0 means DefaultDialTimeout.
	DialTimeout time.Duration
	// Streams is how many may be open at once; 0 means DefaultStreams.
	Streams int
	// Relayed says that streams come over a relay that passes no RST on, such as
	// a port-forward: a target that resets then looks as if it had closed.
	Relayed bool
	// Handler answers whatever is not a CONNECT, HealthPath aside; nil means 404.
	Handler http.Handler

	// Caller is the [Token.Hash] of the only caller that is served; empty serves
	// whoever reaches the listener.
	Caller string
	// Hosts are the only hosts that are dialed, as they are spelled in a CONNECT,
	// and then no loopback, link-local or multicast address that one of them may
	// lead to. Nil dials everything.
	Hosts []string
	// Idle ends Serve when no caller was there for so long; 0 means never.
	Idle time.Duration
}

// Serve answers on ln until ctx ends or the server is idle for too long, closes
// ln, and returns when no stream and no goroutine is left; the error of an
// orderly end is nil. ln should listen on loopback: without Caller there is no
// authentication beyond who reaches it.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	run := &serving{Server: s, ctx: ctx, places: make(chan struct{}, cmp.Or(s.Streams, DefaultStreams))}
	run.attention.last = time.Now()
	srv := &http.Server{
		Handler: run, ReadHeaderTimeout: headerTimeout, IdleTimeout: headerTimeout, MaxHeaderBytes: maxHeader,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	var ended sync.WaitGroup
	ended.Go(func() {
		if s.Idle > 0 {
			run.attention.until(ctx, s.Idle)
			cancel()
		}
		<-ctx.Done()
		_ = srv.Close()
	})
	err := srv.Serve(ln)
	cancel()
	ended.Wait()
	run.streams.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("agent: %w", err)
}

// serving is one call of Serve.
type serving struct {
	*Server

	ctx       context.Context //nolint:containedctx // of Serve, for the streams that outlive their request
	places    chan struct{}
	streams   sync.WaitGroup
	attention attention
}

// ServeHTTP implements [http.Handler].
func (s *serving) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	known := authorized(r, s.Caller)
	if r.Method != http.MethodConnect && r.URL.Path == HealthPath {
		s.health(w, known)
		return
	}
	if !known {
		w.Header().Set("Proxy-Authenticate", "Bearer")
		refuse(w, Unauthorized, "the agent serves somebody else")
		return
	}
	defer s.attention.begin()()
	switch {
	case r.Method == http.MethodConnect:
		s.connect(w, r)
	case s.Handler != nil:
		s.Handler.ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
}

// health says to anybody for how long no caller was there. A caller that asks is
// there.
func (s *serving) health(w http.ResponseWriter, known bool) {
	w.Header().Set(IdleHeader, s.attention.idle().String())
	if known {
		s.attention.begin()()
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *serving) connect(w http.ResponseWriter, r *http.Request) {
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	default:
		refuse(w, Busy, "the agent has as many streams as it takes")
		return
	}
	s.streams.Add(1)
	defer s.streams.Done()
	if s.Hosts != nil && !named(r.Host, s.Hosts) {
		refuse(w, NotNamed, "the agent was not told of this host")
		return
	}
	up, err := s.dial(r.Context(), r.Host)
	if err != nil {
		refuse(w, reasonOf(err), err.Error())
		return
	}
	defer func() { _ = up.Close() }()
	down, err := hijack(w)
	if err != nil {
		return
	}
	bridge(s.ctx, down, up, s.Relayed) //nolint:contextcheck // the stream outlives its request
}

func (s *serving) dial(ctx context.Context, target string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.DialTimeout, DefaultDialTimeout))
	defer cancel()
	if s.Dial != nil {
		return s.Dial(ctx, "tcp", target)
	}
	var d net.Dialer
	if s.Hosts != nil {
		d.Control = onlyOrdinary
	}
	return d.DialContext(ctx, "tcp", target)
}

func refuse(w http.ResponseWriter, r Reason, why string) {
	w.Header().Set(ReasonHeader, string(r))
	w.Header().Set("Connection", "close") // one CONNECT, one stream
	http.Error(w, why, r.status())
}

// hijack takes the connection of a CONNECT over and sends the 200.
func hijack(w http.ResponseWriter) (net.Conn, error) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	// A failed write is remembered, and Flush returns it.
	_, _ = rw.WriteString("HTTP/1.1 200 OK\r\n\r\n")
	if err := rw.Flush(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &buffered{Conn: conn, r: rw.Reader}, nil
}
