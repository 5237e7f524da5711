// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// linger bounds how long a closed tunnel waits for the peer's END_STREAM before
// it is reset, so that it does not hold one of the peer's streams forever.
const linger = time.Second

// Conn is one tunnel: a CONNECT stream after its 200, at either end. It is a
// [net.Conn]; all methods may be called concurrently.
//
// END_STREAM of the peer reads as io.EOF, and so does RST_STREAM with NO_ERROR
// or CANCEL, as ztunnel has it; every other end is an [*Error] of
// [PhaseStream]. Received bytes are read before any of them. A missed deadline
// is [os.ErrDeadlineExceeded] and leaves the tunnel usable. Write returns once
// the bytes are queued; like TCP, it reports a lost peer later.
type Conn struct {
	m         *mux
	id        uint32
	authority string
	outer     *Conn         // inner layer of double HBONE
	session   *Session      // client
	owner     bool          // closing it closes session (Nest)
	ready     chan struct{} // closed when answered or failed
	aborted   chan struct{} // server: closed with failure set

	// Guarded by m.mu.
	rcond, wcond sync.Cond
	rq           recvQueue
	recvWin      inflow
	sendWin      int64
	status       int
	header       http.Header
	interim      int
	answered     bool
	sentEnd      bool
	recvEnd      bool
	closed       bool
	writing      bool
	failure      error
	onRemove     func()
	rdl, wdl     deadline
	lingerTimer  *time.Timer
}

var (
	_ net.Conn    = (*Conn)(nil)
	_ io.WriterTo = (*Conn)(nil)
)

type deadline struct {
	timer   *time.Timer
	passed  bool
	version int
}

// newConn registers a stream. It needs mu.
func (m *mux) newConn(id uint32, authority string) *Conn {
	c := &Conn{
		m: m, id: id, authority: authority, ready: make(chan struct{}),
		sendWin: int64(m.peer.StreamWindow),
		recvWin: inflow{size: int64(m.local.StreamWindow), avail: int64(m.local.StreamWindow)},
	}
	if !m.acked {
		// Until it has seen our SETTINGS the peer may count on the default.
		c.recvWin.avail = max(c.recvWin.avail, initialWindow)
	}
	c.rcond.L, c.wcond.L = &m.mu, &m.mu
	m.streams[id] = c
	return c
}

// Read implements [net.Conn].
func (c *Conn) Read(p []byte) (int, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if err := c.awaitData(); err != nil {
		return 0, err
	}
	n := c.rq.read(p, c.m.recycle)
	c.m.credit(c, n)
	if c.rq.n > 0 {
		c.rcond.Signal()
	}
	return n, nil
}

// WriteTo implements [io.WriterTo]: it moves what arrives to w until io.EOF
// (then nil) or an error, without a copy in between.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		c.m.mu.Lock()
		if err := c.awaitData(); err != nil {
			c.m.mu.Unlock()
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return total, err
		}
		chunk, data := c.rq.next()
		c.m.mu.Unlock()
		n, err := w.Write(data)
		total += int64(n)
		c.m.mu.Lock()
		c.m.credit(c, len(data))
		c.m.recycle(chunk)
		c.m.mu.Unlock()
		if err != nil {
			return total, err
		}
	}
}

// awaitData waits until there is something to read.
func (c *Conn) awaitData() error {
	for {
		switch {
		case c.closed:
			return c.wrap(net.ErrClosed)
		case c.rdl.passed:
			return os.ErrDeadlineExceeded
		case c.rq.n > 0:
			return nil
		case c.recvEnd:
			return io.EOF
		case c.failure != nil:
			if isGraceful(c.failure) {
				return io.EOF
			}
			return c.wrap(c.failure)
		}
		c.rcond.Wait()
	}
}

// Write implements [net.Conn]. It waits while the peer's windows or the queue
// of the connection are full.
func (c *Conn) Write(p []byte) (int, error) {
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	for c.writing { // one writer at a time, so that writes do not interleave
		if err := c.writeError(); err != nil {
			return 0, err
		}
		c.wcond.Wait()
	}
	c.writing = true
	defer func() {
		c.writing = false
		c.wcond.Broadcast()
	}()
	total := 0
	for {
		if err := c.writeError(); err != nil {
			return total, err
		}
		if len(p) == 0 {
			return total, nil
		}
		n := min(int64(len(p)), c.sendWin, m.sendWin, int64(m.peer.MaxFrameSize), maxData)
		if n <= 0 || len(m.out) >= maxPending || m.werr != nil {
			c.wcond.Wait()
			continue
		}
		m.queueData(c.id, p[:n], false)
		c.sendWin -= n
		m.sendWin -= n
		p, total = p[n:], total+int(n)
	}
}

// queueData appends one DATA frame. The header is written by hand: the Framer
// would copy the payload once more.
func (m *mux) queueData(id uint32, p []byte, end bool) {
	var flags byte
	if end {
		flags = byte(http2.FlagDataEndStream)
	}
	n := len(p)
	m.out = append(m.out, byte(n>>16), byte(n>>8), byte(n), byte(http2.FrameData), flags) //nolint:gosec // G115: 24 bits, byte by byte
	m.out = binary.BigEndian.AppendUint32(m.out, id)
	m.out = append(m.out, p...)
	m.wake.Signal()
}

func (c *Conn) writeError() error {
	switch {
	case c.closed, c.sentEnd:
		return c.wrap(net.ErrClosed)
	case c.failure != nil:
		return c.wrap(c.failure)
	case c.wdl.passed:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// CloseWrite sends END_STREAM: the peer reads io.EOF, reading goes on here.
func (c *Conn) CloseWrite() error {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if c.closed {
		return c.wrap(net.ErrClosed)
	}
	if c.failure != nil {
		return c.wrap(c.failure)
	}
	c.endLocal()
	c.wcond.Broadcast()
	return nil
}

// Close ends both directions. Queued bytes and END_STREAM still reach the peer;
// what it sent and nobody read is dropped, and the stream is then reset with
// CANCEL, as it is when the peer sends more or does not end it within a second.
// Closing again does nothing.
func (c *Conn) Close() error {
	c.m.mu.Lock()
	c.closeLocked()
	c.m.mu.Unlock()
	if c.owner {
		return c.session.Close() // a session of its own: ztunnel never pools the inner layer
	}
	return nil
}

func (c *Conn) closeLocked() {
	if c.closed {
		return
	}
	unread := c.rq.n
	c.closed = true
	c.rdl.stop()
	c.wdl.stop()
	c.m.credit(nil, unread)
	c.rq = recvQueue{}
	if c.failure == nil {
		c.endLocal()
		switch {
		case c.recvEnd:
		case unread > 0:
			c.localReset(http2.ErrCodeCancel)
		default:
			c.lingerTimer = time.AfterFunc(linger, c.lingered)
		}
	}
	c.rcond.Broadcast()
	c.wcond.Broadcast()
}

func (c *Conn) lingered() {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if c.failure == nil && !c.recvEnd {
		c.localReset(http2.ErrCodeCancel)
	}
}

// Reset ends the tunnel with RST_STREAM and the given code, dropping what is
// not yet read. A tunnel that has already ended stays as it is.
func (c *Conn) Reset(code http2.ErrCode) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if c.failure == nil && (!c.sentEnd || !c.recvEnd) {
		c.localReset(code)
	}
	c.closeLocked()
}

// SetDeadline implements [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements [net.Conn].
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.rdl, &c.rcond, t) }

// SetWriteDeadline implements [net.Conn].
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.wdl, &c.wcond, t) }

func (c *Conn) setDeadline(d *deadline, cond *sync.Cond, t time.Time) error {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if c.closed {
		return c.wrap(net.ErrClosed)
	}
	d.stop()
	if t.IsZero() {
		return nil
	}
	wait := time.Until(t)
	if wait <= 0 {
		d.passed = true
		cond.Broadcast()
		return nil
	}
	version := d.version
	d.timer = time.AfterFunc(wait, func() {
		c.m.mu.Lock()
		defer c.m.mu.Unlock()
		if d.version == version {
			d.passed = true
			cond.Broadcast()
		}
	})
	return nil
}

func (d *deadline) stop() {
	d.version++
	d.passed = false
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

// LocalAddr returns the local address of the connection under the tunnel.
func (c *Conn) LocalAddr() net.Addr { return c.m.conn.LocalAddr() }

// RemoteAddr returns the address of the peer of the connection under the
// tunnel, not the CONNECT authority.
func (c *Conn) RemoteAddr() net.Addr { return c.m.conn.RemoteAddr() }

// Authority returns the :authority of the CONNECT.
func (c *Conn) Authority() string { return c.authority }

// Response returns the status and the header of the CONNECT response; the
// caller must not change the header.
func (c *Conn) Response() (status int, header http.Header) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	return c.status, c.header
}

// ConnectionState returns the TLS state of this tunnel's own layer, zero
// without TLS.
func (c *Conn) ConnectionState() tls.ConnectionState {
	state, _ := c.m.tlsState()
	return state
}

// Outer returns the tunnel that carries this one ([Nest]), nil for a single one.
func (c *Conn) Outer() *Conn { return c.outer }

// Session returns the connection that carries the tunnel, nil at the server.
func (c *Conn) Session() *Session { return c.session }

// wrap places an error of the running tunnel.
func (c *Conn) wrap(err error) error {
	return &Error{Phase: PhaseStream, Layer: c.m.layer, Target: c.m.target, Status: c.status, Err: err}
}
