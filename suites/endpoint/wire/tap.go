// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/meshprobe/meshprobe/pkg/hbone"
)

// Bounds of what is kept of a handshake.
const (
	maxIn    = maxChain + 64<<10
	maxOut   = 64 << 10
	maxPlain = 2 << 10
)

// plainWait is how long the rest of a plaintext answer is waited for.
const plainWait = 300 * time.Millisecond

// tap is a connection that remembers what crosses it until it is told that the
// handshake is over, and how it ended. It is used by one handshake and by one
// reader and one writer after it.
type tap struct {
	net.Conn
	sent func(*tap) // called once, behind the first write; may be nil

	mu       sync.Mutex
	in, out  []byte
	over     bool // nothing more is kept
	received int64
	end      End
	wrote    time.Time     // first
	rtt      time.Duration // from there to the first byte
}

var _ net.Conn = (*tap)(nil)

// Read keeps what it reads. An answer that is no TLS at all is read to the end
// of its first part here, as crypto/tls gives up after five bytes of it.
func (t *tap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.mu.Lock()
	first := t.received == 0 && n > 0
	if first && !t.wrote.IsZero() {
		t.rtt = time.Since(t.wrote)
	}
	t.received += int64(n)
	if !t.over {
		t.in = append(t.in, p[:min(n, maxIn-len(t.in))]...)
	}
	t.ended(err)
	t.mu.Unlock()
	if first && !isTLS(p[:n]) {
		t.readPlain()
	}
	return n, err
}

func (t *tap) readPlain() {
	_ = t.SetReadDeadline(time.Now().Add(plainWait))
	buf := make([]byte, maxPlain)
	for {
		t.mu.Lock()
		done := len(t.in) >= maxPlain || bytes.Contains(t.in, []byte("\r\n\r\n")) ||
			bytes.HasSuffix(t.in, []byte("\n")) && !bytes.HasPrefix(t.in, []byte("HTTP/"))
		t.mu.Unlock()
		if done {
			return
		}
		n, err := t.Conn.Read(buf)
		t.mu.Lock()
		t.received += int64(n)
		t.in = append(t.in, buf[:n]...)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.ended(err)
		}
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Write keeps what it writes.
func (t *tap) Write(p []byte) (int, error) {
	t.mu.Lock()
	first := t.wrote.IsZero()
	if first {
		t.wrote = time.Now()
	}
	t.mu.Unlock()
	n, err := t.Conn.Write(p)
	if first && t.sent != nil {
		t.sent(t)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.out = append(t.out, p[:min(n, maxOut-len(t.out))]...)
	}
	if endOf(err) == EndRST {
		t.ended(err)
	}
	return n, err
}

// ended records the first end. It needs mu.
func (t *tap) ended(err error) {
	if t.end == EndNone {
		t.end = endOf(err)
	}
}

// endOf says what an error of a read tells of the connection.
func endOf(err error) End {
	re, reset := errors.AsType[*hbone.ResetError](err)
	switch {
	case err == nil, errors.Is(err, net.ErrClosed):
		return EndNone
	case errors.Is(err, io.EOF):
		return EndFIN
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), reset && re.Remote:
		return EndRST
	case errors.Is(err, os.ErrDeadlineExceeded):
		return EndTimeout
	default:
		return EndNone
	}
}

// forget lets go of what was kept: the handshake is over.
func (t *tap) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over, t.in, t.out = true, nil, nil
}

// count is how many bytes came, all told.
func (t *tap) count() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.received
}

// kept is what was kept of both directions, and how the connection ended.
func (t *tap) kept() (in, out []byte, end End) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.in, t.out, t.end
}
