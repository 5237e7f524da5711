// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
)

// The kinds of frames.
const (
	frameData  = 0
	frameEnd   = 1
	frameReset = 2
)

const (
	headerSize = 3
	maxPayload = 16 << 10
)

// errReset is how a reset that came in a frame looks to a reader.
func errReset() error {
	return &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
}

// reader takes frames apart. It keeps its place when a read is cut off by a
// deadline. It is safe for concurrent use.
type reader struct {
	mu     sync.Mutex
	from   io.Reader
	header [headerSize]byte
	have   int // bytes of the header
	left   int // bytes of the payload
	end    error
}

// Read returns the bytes of data frames, io.EOF after an end and ECONNRESET
// after a reset. A stream that stops without either is cut off, which is
// io.ErrUnexpectedEOF.
func (r *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.left == 0 {
		if r.end != nil {
			return 0, r.end
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n, err := r.from.Read(p[:min(len(p), r.left)])
	r.left -= n
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if n > 0 {
		return n, nil
	}
	return 0, err
}

// next reads the header of a frame.
func (r *reader) next() error {
	for r.have < headerSize {
		n, err := r.from.Read(r.header[r.have:])
		r.have += n
		if errors.Is(err, io.EOF) && r.have < headerSize {
			return io.ErrUnexpectedEOF
		}
		if err != nil && r.have < headerSize {
			return err
		}
	}
	r.have = 0
	length := int(binary.BigEndian.Uint16(r.header[1:]))
	switch kind := r.header[0]; {
	case kind == frameData && length > 0 && length <= maxPayload:
		r.left = length
	case kind == frameEnd && length == 0:
		r.end = io.EOF
	case kind == frameReset && length == 0:
		r.end = errReset()
	default:
		r.end = fmt.Errorf("agent: a frame of kind %d with %d bytes", kind, length)
	}
	return nil
}

// writer puts frames together. A frame that was cut off by a deadline is
// finished before the next one. It is safe for concurrent use.
type writer struct {
	mu    sync.Mutex
	to    io.Writer
	ended bool
	buf   [headerSize + maxPayload]byte
	rest  []byte // of buf, what is still to be sent
}

// Write sends data frames. Of a frame that was begun all bytes count as
// written, because the header promised them.
func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := 0
	for sent < len(p) {
		if w.ended {
			return sent, &net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}
		}
		if err := w.flush(); err != nil {
			return sent, err
		}
		n := copy(w.buf[headerSize:], p[sent:])
		w.buf[0] = frameData
		binary.BigEndian.PutUint16(w.buf[1:], uint16(n)) //nolint:gosec // at most maxPayload
		w.rest = w.buf[:headerSize+n]
		err := w.flush()
		if err != nil && len(w.rest) == headerSize+n {
			w.rest = nil // it was never begun
			return sent, err
		}
		sent += n
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// flush sends what is left of a frame.
func (w *writer) flush() error {
	for len(w.rest) > 0 {
		n, err := w.to.Write(w.rest)
		w.rest = w.rest[n:]
		if err != nil {
			return err
		}
	}
	return nil
}

// end sends an end or a reset; only the first counts.
func (w *writer) end(kind byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.ended = true
	_, err := w.to.Write([]byte{kind, 0, 0})
	return err
}
