// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Session is a client's HTTP/2 connection to one peer, whose SETTINGS have been
// read: the peer has accepted the client's certificate. It carries many
// tunnels and is safe for concurrent use.
type Session struct {
	m       *mux
	timeout time.Duration
	header  http.Header
	request *CertificateRequest
	outer   *Conn
}

// ConnectionState returns the TLS state, zero without TLS.
func (s *Session) ConnectionState() tls.ConnectionState {
	state, _ := s.m.tlsState()
	return state
}

// CertificateRequest returns what the server asked for in the handshake.
func (s *Session) CertificateRequest() *CertificateRequest { return s.request }

// Target returns the address the session was dialed at.
func (s *Session) Target() string { return s.m.target }

// Settings returns the limits that the peer grants, RFC 9113's defaults where
// its SETTINGS are silent, [Unlimited] where there is no limit.
func (s *Session) Settings() Settings {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return s.m.peer
}

// SettingsFrame returns the peer's last SETTINGS as they came.
func (s *Session) SettingsFrame() []http2.Setting {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return slices.Clone(s.m.peerRaw)
}

// Done is closed when the connection is gone, for whatever reason.
func (s *Session) Done() <-chan struct{} { return s.m.done }

// Err returns why no tunnel can be opened any more, nil while one can: the end
// of the connection or the peer's [*GoAwayError].
func (s *Session) Err() error {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return s.errLocked()
}

func (s *Session) errLocked() error {
	switch {
	case s.m.err != nil:
		return s.m.err
	case s.m.werr != nil:
		return fmt.Errorf("%w: %w", ErrConnClosed, s.m.werr)
	case s.m.goAway != nil:
		return s.m.goAway
	case s.m.nextID > maxWindow:
		return fmt.Errorf("%w: stream identifiers used up", ErrConnClosed)
	}
	return nil
}

// Streams returns how many tunnels are open.
func (s *Session) Streams() int {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return len(s.m.streams)
}

// available reports whether a tunnel can be opened without waiting.
func (s *Session) available() bool {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	return s.errLocked() == nil && int64(len(s.m.streams)) < int64(s.m.peer.MaxConcurrentStreams)
}

// Close sends GOAWAY, ends all tunnels and the connection, and returns when no
// goroutine of the session is left, after about a second at the worst.
func (s *Session) Close() error {
	s.m.close()
	if s.outer != nil {
		return s.outer.Close()
	}
	return nil
}

// Open sends a CONNECT for authority and waits for its 200. The authority
// travels as it is, so that a peer's answer to a bad one can be seen; header
// may be nil and is added to the session's own. While the peer's
// MAX_CONCURRENT_STREAMS tunnels are open it waits; when ctx ends first, or the
// session's timeout, the error wraps [ErrStreamLimit]. Any answer but 200 is an
// error with Status, Header and [ErrRefused]. ctx has no part in the tunnel
// once Open has returned.
func (s *Session) Open(ctx context.Context, authority string, header http.Header) (*Conn, error) {
	ctx, cancel := withTimeout(ctx, s.timeout)
	defer cancel()
	c, err := s.send(ctx, authority, header)
	if err != nil {
		return nil, s.wrap(err)
	}
	select {
	case <-c.ready:
	case <-ctx.Done():
		c.Reset(http2.ErrCodeCancel)
		return nil, s.wrap(fmt.Errorf("no answer to CONNECT: %w", context.Cause(ctx)))
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if c.status == 0 {
		return nil, s.wrap(c.failure)
	}
	if c.status != http.StatusOK {
		if c.failure == nil && !c.recvEnd {
			c.localReset(http2.ErrCodeCancel)
		}
		c.closeLocked()
		e := s.wrap(fmt.Errorf("%w: %q answered with status %d", ErrRefused, clip(authority), c.status))
		e.Status, e.Header = c.status, c.header
		return nil, e
	}
	return c, nil
}

func (s *Session) wrap(err error) *Error {
	return &Error{Phase: PhaseConnect, Layer: s.m.layer, Target: s.m.target, Err: err}
}

// send waits for a free stream and sends the CONNECT on it.
func (s *Session) send(ctx context.Context, authority string, header http.Header) (*Conn, error) {
	fields, err := connectFields(authority, s.header, header)
	if err != nil {
		return nil, err
	}
	m := s.m
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		if err := s.errLocked(); err != nil {
			return nil, err
		}
		if int64(len(m.streams)) < int64(m.peer.MaxConcurrentStreams) {
			break
		}
		freed := m.freed
		m.mu.Unlock()
		select {
		case <-freed:
			m.mu.Lock()
		case <-ctx.Done():
			m.mu.Lock()
			return nil, fmt.Errorf("%w (%d): %w", ErrStreamLimit, m.peer.MaxConcurrentStreams, context.Cause(ctx))
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if size := listSize(fields); size > int64(m.peer.MaxHeaderListSize) {
		return nil, fmt.Errorf("%w: %d bytes, the peer takes %d", ErrHeaderList, size, m.peer.MaxHeaderListSize)
	}
	c := m.newConn(m.nextID, authority)
	c.session, c.outer = s, s.outer
	m.nextID += 2
	if err := m.writeHeaders(c.id, fields, false); err != nil {
		m.failLocked(err)
		return nil, err
	}
	return c, nil
}

// connectFields builds the header block: :method and :authority alone, no
// :scheme and no :path (RFC 9113 §8.5), then the extra headers.
func connectFields(authority string, headers ...http.Header) ([]hpack.HeaderField, error) {
	if !httpguts.ValidHeaderFieldValue(authority) {
		return nil, fmt.Errorf("%w: control characters in the authority", ErrConfig)
	}
	fields := []hpack.HeaderField{{Name: ":method", Value: http.MethodConnect}, {Name: ":authority", Value: authority}}
	return appendHeader(fields, headers...)
}

func appendHeader(fields []hpack.HeaderField, headers ...http.Header) ([]hpack.HeaderField, error) {
	for _, h := range headers {
		names := make([]string, 0, len(h))
		for name := range h {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			if !httpguts.ValidHeaderFieldName(name) {
				return nil, fmt.Errorf("%w: header name %q", ErrConfig, clip(name))
			}
			for _, v := range h[name] {
				if !httpguts.ValidHeaderFieldValue(v) {
					return nil, fmt.Errorf("%w: value of header %q", ErrConfig, clip(name))
				}
				fields = append(fields, hpack.HeaderField{Name: strings.ToLower(name), Value: v})
			}
		}
	}
	return fields, nil
}

func listSize(fields []hpack.HeaderField) int64 {
	var n int64
	for _, f := range fields {
		n += int64(f.Size())
	}
	return n
}

// writeHeaders queues HEADERS and CONTINUATION. It needs mu.
func (m *mux) writeHeaders(id uint32, fields []hpack.HeaderField, end bool) error {
	m.hbuf.Reset()
	for _, f := range fields {
		if err := m.henc.WriteField(f); err != nil {
			return fmt.Errorf("encode header: %w", err)
		}
	}
	block := m.hbuf.Bytes()
	size := min(len(block), initialMaxFrame)
	err := m.fr.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: block[:size], EndStream: end, EndHeaders: size == len(block),
	})
	for block = block[size:]; err == nil && len(block) > 0; block = block[size:] {
		size = min(len(block), initialMaxFrame)
		err = m.fr.WriteContinuation(id, size == len(block), block[:size])
	}
	m.wake.Signal()
	return err
}

// withTimeout bounds ctx unless it is bounded already.
func withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok || d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, d, errTimeout{d})
}

type errTimeout struct{ d time.Duration }

func (e errTimeout) Error() string        { return "nothing within " + e.d.String() }
func (e errTimeout) Timeout() bool        { return true }
func (e errTimeout) Is(target error) bool { return target == context.DeadlineExceeded }

// settle waits for the peer's SETTINGS.
func (m *mux) settle(ctx context.Context) error {
	select {
	case <-m.settled:
		return nil
	case <-m.done:
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNoSettings, context.Cause(ctx))
	}
	select {
	case <-m.settled: // both happened; the failure comes up with the first use
		return nil
	default:
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := RemoteAlert(m.err); ok || errors.Is(m.err, ErrNoSettings) {
		return m.err
	}
	return fmt.Errorf("%w: %w", ErrNoSettings, m.err)
}
