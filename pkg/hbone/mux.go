// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// maxPending bounds the bytes that wait to be written on one connection;
	// writers of data wait above it.
	maxPending = 256 << 10
	// maxControl is the extra room of control frames. A peer that makes us queue
	// more (floods of PING, SETTINGS, resets) without reading is cut off.
	maxControl = 64 << 10
	// maxData keeps one frame to a few TLS records, so that other streams and
	// PINGs get their turn, and header plus data fill whole records.
	maxData = 64<<10 - frameHeader
	// closeGrace bounds what is still written to a connection that is given up.
	closeGrace = time.Second

	frameHeader = 9
)

// mux is one HTTP/2 connection, either end: two goroutines, one that reads and
// never writes, one that writes what was queued. Everything below mu is guarded
// by it, in all streams too.
type mux struct {
	conn      net.Conn
	under     *corked // the stream under conn's TLS, nil if that is not ours
	client    bool
	layer     Layer
	target    string
	local     Settings
	keepAlive time.Duration                            // <= 0: none
	stall     time.Duration                            // bound of one write and of the answer to a PING
	onRequest func(c *Conn, f *http2.MetaHeadersFrame) // server; called by the reader with mu held
	br        *bufio.Reader
	fr        *http2.Framer // its write half under mu, its read half in the reader
	wg        sync.WaitGroup
	settled   chan struct{} // closed with the peer's first SETTINGS
	done      chan struct{} // closed with err set

	mu         sync.Mutex
	wake       sync.Cond // the writer waits here
	out        []byte    // queued frames
	spare      []byte
	henc       *hpack.Encoder
	hbuf       bytes.Buffer
	streams    map[uint32]*Conn
	freed      chan struct{} // closed and renewed when a stream ends or a limit moves
	nextID     uint32        // client: next stream
	lastID     uint32        // server: highest stream of the peer
	lastServed uint32        // server: highest one that was taken up, for GOAWAY
	sendWin    int64
	recvWin    inflow
	peer       Settings
	peerRaw    []http2.Setting
	acked      bool // the peer knows our SETTINGS
	goAway     *GoAwayError
	draining   bool // server: GOAWAY sent, no new streams
	err        error
	closing    bool  // writer: write what is queued, then close
	werr       error // why writing ended
	pinged     bool
	timer      *time.Timer
	free       [][]byte
}

func newMux(conn net.Conn, under *corked, client bool, local Settings, keepAlive, stall time.Duration) *mux {
	m := &mux{
		conn: conn, under: under, client: client, local: local.withDefaults(client),
		keepAlive: keepAlive, stall: stall,
		br:      bufio.NewReaderSize(conn, 4<<10),
		settled: make(chan struct{}), done: make(chan struct{}), freed: make(chan struct{}),
		streams: make(map[uint32]*Conn),
		nextID:  1, sendWin: initialWindow, peer: initialPeer(),
	}
	m.wake.L = &m.mu
	m.henc = hpack.NewEncoder(&m.hbuf)
	m.fr = http2.NewFramer(outWriter{m}, m.br)
	m.fr.SetMaxReadFrameSize(m.local.MaxFrameSize)
	m.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	m.fr.MaxHeaderListSize = m.local.MaxHeaderListSize
	m.recvWin = inflow{size: int64(m.local.ConnWindow), avail: int64(m.local.ConnWindow)}
	return m
}

// outWriter is where the Framer writes: the queue.
type outWriter struct{ m *mux }

func (w outWriter) Write(p []byte) (int, error) {
	w.m.out = append(w.m.out, p...)
	return len(p), nil
}

// start queues the connection preface and runs the two loops.
func (m *mux) start() {
	m.mu.Lock()
	if m.client {
		m.out = append(m.out, http2.ClientPreface...)
	}
	m.control(func() error { return m.fr.WriteSettings(m.local.frame(m.client)...) })
	if inc := m.local.ConnWindow - initialWindow; inc > 0 {
		m.control(func() error { return m.fr.WriteWindowUpdate(0, inc) })
	}
	if m.keepAlive > 0 {
		m.timer = time.AfterFunc(m.keepAlive, m.ping)
	}
	m.mu.Unlock()
	m.wg.Go(m.writeLoop)
	m.wg.Go(func() { m.fail(m.readLoop()) })
}

// control queues one control frame. It needs mu.
func (m *mux) control(write func() error) {
	if m.closing || m.werr != nil {
		return
	}
	if len(m.out) > maxPending+maxControl {
		m.failLocked(&ProtocolError{Code: http2.ErrCodeEnhanceYourCalm, Reason: "too many frames to answer"})
		return
	}
	if err := write(); err != nil {
		m.failLocked(fmt.Errorf("write frame: %w", err))
		return
	}
	m.wake.Signal()
}

func (m *mux) writeLoop() {
	m.mu.Lock()
	for {
		for len(m.out) == 0 && !m.closing {
			m.wake.Wait()
		}
		if len(m.out) == 0 {
			break
		}
		buf := m.out
		m.out, m.spare = m.spare[:0], nil
		m.wakeWriters()
		stall := m.stall
		if m.closing {
			stall = closeGrace
		}
		_ = m.conn.SetWriteDeadline(time.Now().Add(stall))
		m.mu.Unlock()
		err := m.writeOut(buf)
		m.mu.Lock()
		m.spare = buf
		if err != nil {
			m.writeFailed(err)
			break
		}
	}
	for !m.closing {
		m.wake.Wait()
	}
	m.mu.Unlock()
	m.hangUp()
}

// hangUp closes the connection. crypto/tls gives its close_notify five seconds,
// which a peer that does not read uses up; it gets closeGrace here.
func (m *mux) hangUp() {
	if tc, ok := m.conn.(*tls.Conn); ok {
		late := time.AfterFunc(closeGrace, func() { _ = tc.NetConn().Close() })
		defer late.Stop()
	}
	_ = m.conn.Close()
}

func (m *mux) writeOut(buf []byte) error {
	if m.under == nil || len(buf) <= record {
		_, err := m.conn.Write(buf)
		return err
	}
	m.under.cork()
	_, err := m.conn.Write(buf)
	if uerr := m.under.uncork(); err == nil {
		err = uerr
	}
	return err
}

// writeFailed keeps the connection for the reader a moment longer: a peer that
// refuses a certificate closes behind its alert, and a write that hits the
// closed socket first must not hide the alert.
func (m *mux) writeFailed(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("%w: nothing could be written for %v", ErrStalled, m.stall)
	}
	m.werr = err
	m.out = nil
	if m.closing {
		return
	}
	if errors.Is(err, ErrStalled) {
		m.failLocked(err)
		return
	}
	_ = m.conn.SetReadDeadline(time.Now().Add(closeGrace))
}

// fail ends the connection for all its streams; the first cause stays.
func (m *mux) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failLocked(err)
}

func (m *mux) failLocked(err error) {
	if m.err != nil {
		return
	}
	if pe, ok := errors.AsType[*ProtocolError](err); ok && m.werr == nil {
		_ = m.fr.WriteGoAway(m.lastServed, pe.Code, []byte(clip(pe.Reason)))
	}
	m.err = err
	m.closing = true
	// A write in progress may hang on a peer that does not read.
	_ = m.conn.SetWriteDeadline(time.Now().Add(closeGrace))
	if m.timer != nil {
		m.timer.Stop()
	}
	for _, c := range m.streams {
		c.connFailed()
	}
	clear(m.streams)
	m.release()
	m.wake.Signal()
	close(m.done)
}

// close ends the connection on our side and waits for its goroutines.
func (m *mux) close() {
	m.mu.Lock()
	if m.err == nil {
		if m.werr == nil {
			_ = m.fr.WriteGoAway(m.lastServed, http2.ErrCodeNo, nil)
		}
		m.failLocked(fmt.Errorf("%w: %w", ErrConnClosed, net.ErrClosed))
	}
	m.mu.Unlock()
	m.wg.Wait()
}

// ping is the keepalive: one PING per period, answered within stall.
func (m *mux) ping() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return
	}
	if m.pinged {
		m.failLocked(fmt.Errorf("%w: no answer to PING within %v", ErrStalled, m.stall))
		return
	}
	m.pinged = true
	m.control(func() error { return m.fr.WritePing(false, [8]byte{'h', 'b', 'o', 'n', 'e'}) })
	if m.err == nil {
		m.timer.Reset(m.stall)
	}
}

// pong re-arms the keepalive.
func (m *mux) pong() {
	if m.pinged {
		m.pinged = false
		m.timer.Reset(m.keepAlive)
	}
}

// release tells waiting openers that a stream ended or a limit moved.
func (m *mux) release() {
	close(m.freed)
	m.freed = make(chan struct{})
}

// wakeWriters lets writers that wait for room or for window look again.
func (m *mux) wakeWriters() {
	for _, c := range m.streams {
		if c.writing {
			c.wcond.Broadcast()
		}
	}
}

func (m *mux) chunk() []byte {
	if n := len(m.free); n > 0 {
		c := m.free[n-1]
		m.free = m.free[:n-1]
		return c
	}
	return make([]byte, chunkSize)
}

func (m *mux) recycle(c []byte) {
	if len(m.free) < maxFree {
		m.free = append(m.free, c[:cap(c)])
	}
}

// readError names why reading ended.
func (m *mux) readError(err error) error {
	if _, ok := RemoteAlert(err); ok {
		return err
	}
	if pe, ok := errors.AsType[*ProtocolError](err); ok {
		return pe
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.werr != nil:
		return fmt.Errorf("%w: %w", ErrConnClosed, m.werr)
	case m.goAway != nil:
		return m.goAway
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("%w %w", ErrConnClosed, errPeerClosed)
	default:
		return fmt.Errorf("%w: %w", ErrConnClosed, err)
	}
}

// tlsState returns the state of the TLS under the connection, if any.
func (m *mux) tlsState() (tls.ConnectionState, bool) {
	if c, ok := m.conn.(interface{ ConnectionState() tls.ConnectionState }); ok {
		return c.ConnectionState(), true
	}
	return tls.ConnectionState{}, false
}
