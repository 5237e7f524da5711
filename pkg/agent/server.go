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
	// Handler answers whatever is not a CONNECT, /healthz aside; nil means 404.
	Handler http.Handler
}

// Serve answers on ln until ctx ends, closes ln, and returns when no stream and
// no goroutine is left; the error of an orderly end is nil. ln should listen on
// loopback: there is no authentication beyond who reaches it.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	run := &serving{Server: s, ctx: ctx, places: make(chan struct{}, cmp.Or(s.Streams, DefaultStreams))}
	srv := &http.Server{
		Handler: run, ReadHeaderTimeout: headerTimeout, IdleTimeout: headerTimeout, MaxHeaderBytes: maxHeader,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	var ended sync.WaitGroup
	over := make(chan struct{})
	ended.Go(func() {
		select {
		case <-ctx.Done():
		case <-over:
		}
		_ = srv.Close()
	})
	err := srv.Serve(ln)
	close(over)
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

	ctx     context.Context //nolint:containedctx // of Serve, for the streams that outlive their request
	places  chan struct{}
	streams sync.WaitGroup
}

// ServeHTTP implements [http.Handler].
func (s *serving) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodConnect:
		s.connect(w, r)
	case r.URL.Path == "/healthz":
		w.WriteHeader(http.StatusNoContent)
	case s.Handler != nil:
		s.Handler.ServeHTTP(w, r)
	default:
		http.NotFound(w, r)
	}
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
