// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// serverConn is one client of a Server.
type serverConn struct {
	srv      *Server
	m        *mux
	ctx      context.Context //nolint:containedctx // of run, for the handlers that the reader starts
	handlers sync.WaitGroup
	active   int // handlers and streams that are not over; guarded by m.mu
}

func newServerConn(srv *Server, conn net.Conn, under *corked) *serverConn {
	m := newMux(conn, under, false, srv.Settings,
		orDefault(srv.KeepAlive, defaultKeepAlive), orDefault(srv.KeepAliveTimeout, defaultKeepAliveTimeout))
	m.target = addrString(conn)
	sc := &serverConn{srv: srv, m: m}
	m.onRequest = sc.accept
	return sc
}

// run serves until the connection ends and all its handlers have returned.
func (sc *serverConn) run(ctx context.Context, timeout time.Duration) error {
	m := sc.m
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sc.ctx = ctx
	_ = m.conn.SetReadDeadline(time.Now().Add(timeout))
	m.br.Reset(&prefaceReader{r: m.conn})
	m.start()
	select {
	case <-m.done:
	case <-ctx.Done():
	}
	m.close()
	cancel()
	sc.handlers.Wait()
	if errors.Is(m.err, net.ErrClosed) || m.goAway != nil || orderly(m.err) {
		return nil
	}
	return &Error{Phase: PhaseStream, Target: m.target, Err: m.err}
}

// orderly tells an end that a client may choose (FIN, close_notify) from errors.
func orderly(err error) bool { return errors.Is(err, errPeerClosed) }

// drain is the graceful end: GOAWAY, then the tunnels that are open.
func (sc *serverConn) drain() {
	m := sc.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil || m.draining {
		return
	}
	m.draining = true
	m.control(func() error { return m.fr.WriteGoAway(m.lastServed, http2.ErrCodeNo, nil) })
	sc.endIfDrained()
}

func (sc *serverConn) endIfDrained() {
	if sc.m.draining && sc.active == 0 && sc.m.err == nil {
		sc.m.failLocked(fmt.Errorf("%w: %w", ErrConnClosed, net.ErrClosed))
	}
}

// prefaceReader checks the client's connection preface (RFC 9113 §3.4).
type prefaceReader struct {
	r    io.Reader
	done bool
}

func (p *prefaceReader) Read(b []byte) (int, error) {
	if !p.done {
		got := make([]byte, len(http2.ClientPreface))
		if n, err := io.ReadFull(p.r, got); err != nil {
			if n == 0 {
				return 0, err
			}
			return 0, protocolError("incomplete connection preface")
		}
		if string(got) != http2.ClientPreface {
			return 0, protocolError("no HTTP/2 connection preface")
		}
		p.done = true
	}
	return p.r.Read(b)
}

// acceptStream admits or refuses a new stream of the client. It needs mu.
func (m *mux) acceptStream(f *http2.MetaHeadersFrame) error {
	if f.StreamID%2 == 0 {
		return protocolError("even stream identifier from a client")
	}
	m.lastID = f.StreamID
	if m.draining {
		return nil // above the GOAWAY's last stream: the client knows
	}
	m.lastServed = f.StreamID
	if f.Truncated {
		m.refuse(f.StreamID, http.StatusRequestHeaderFieldsTooLarge)
		return m.err
	}
	if f.PseudoValue("method") == "" {
		m.resetStream(f.StreamID, http2.ErrCodeProtocol)
		return m.err
	}
	c := m.newConn(f.StreamID, f.PseudoValue("authority"))
	c.answered = true
	close(c.ready)
	c.aborted = make(chan struct{})
	if f.StreamEnded() {
		c.endRemote()
	}
	m.onRequest(c, f)
	return m.err
}

// refuse answers a stream that is not admitted.
func (m *mux) refuse(id uint32, status int) {
	fields := []hpack.HeaderField{{Name: ":status", Value: strconv.Itoa(status)}}
	m.control(func() error { return m.writeHeaders(id, fields, true) })
	m.control(func() error { return m.fr.WriteRSTStream(id, http2.ErrCodeNo) })
}

// accept starts the handler of a stream. It needs mu.
func (sc *serverConn) accept(c *Conn, f *http2.MetaHeadersFrame) {
	m := sc.m
	if m.err != nil {
		// The reader had it in its buffer when the connection was ended here:
		// nobody would tell this stream, and its handler would wait for good.
		c.abort(m.err)
		return
	}
	// Handlers count until they have returned, so that a client that opens and
	// resets cannot have more work done than its streams allow.
	if sc.active >= int(m.local.MaxConcurrentStreams) {
		c.localReset(http2.ErrCodeRefusedStream)
		return
	}
	if f.PseudoValue("method") != http.MethodConnect {
		m.refuse(c.id, http.StatusBadRequest)
		c.abort(&ResetError{Code: http2.ErrCodeNo})
		return
	}
	if f.PseudoValue("scheme") != "" || f.PseudoValue("path") != "" || f.PseudoValue("protocol") != "" {
		c.localReset(http2.ErrCodeProtocol) // RFC 9113 §8.5
		return
	}
	r := &Request{
		Authority: c.authority, Header: headerOf(f),
		LocalAddr: m.conn.LocalAddr(), RemoteAddr: m.conn.RemoteAddr(),
	}
	if state, ok := m.tlsState(); ok {
		r.TLS = &state
	}
	ctx, cancel := context.WithCancel(sc.ctx)
	c.onRemove = cancel
	sc.active++
	sc.handlers.Go(func() {
		defer cancel()
		sc.handle(ctx, c, r)
		m.mu.Lock()
		defer m.mu.Unlock()
		sc.active--
		sc.endIfDrained()
	})
}

// handle runs one CONNECT from its handler's answer to the end of the tunnel.
func (sc *serverConn) handle(ctx context.Context, c *Conn, r *Request) {
	a := sc.srv.Handler(ctx, r)
	if a.Status == 0 {
		a.Status = http.StatusServiceUnavailable
		if a.Upstream != nil || a.Serve != nil {
			a.Status = http.StatusOK
		}
	}
	open := a.Status == http.StatusOK && (a.Upstream != nil || a.Serve != nil)
	if err := sc.respond(c, a, !open); err != nil || !open {
		if a.Upstream != nil {
			_ = a.Upstream.Close()
		}
		return
	}
	if a.Serve != nil {
		a.Serve(sc.ctx, c) //nolint:contextcheck // ctx ends with the stream, and the tunnel outlives it: what came is still passed on
		_ = c.Close()
		return
	}
	bridge(sc.ctx, c, a.Upstream) //nolint:contextcheck // as above
}

// respond sends the response header, and with end the end of the stream.
func (sc *serverConn) respond(c *Conn, a Answer, end bool) error {
	fields, err := appendHeader([]hpack.HeaderField{{Name: ":status", Value: strconv.Itoa(a.Status)}}, a.Header)
	m := sc.m
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case c.failure != nil:
		return c.failure
	case err != nil:
		c.localReset(http2.ErrCodeInternal)
		return err
	case listSize(fields) > int64(m.peer.MaxHeaderListSize):
		c.localReset(http2.ErrCodeInternal)
		return ErrHeaderList
	}
	c.status, c.header = a.Status, a.Header
	if err := m.writeHeaders(c.id, fields, end); err != nil {
		m.failLocked(err)
		return err
	}
	if !end {
		return nil
	}
	c.sentEnd = true
	if !c.recvEnd {
		// The rest of the request is of no interest (RFC 9113 §8.1).
		c.localReset(http2.ErrCodeNo)
	}
	c.closeLocked()
	c.settle()
	return nil
}
