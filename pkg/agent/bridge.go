// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bufio"
	"context"
	"io"
	"net"
	"sync"
)

// buffered is a connection of which some bytes were read ahead.
type buffered struct {
	net.Conn

	r *bufio.Reader
}

// Read takes what was read ahead first.
func (b *buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

// CloseWrite ends the direction that is written, where that exists.
func (b *buffered) CloseWrite() error {
	closeWrite(b.Conn)
	return nil
}

// bridge copies both ways until both directions have ended or ctx does, passing
// each half-close on, and closes both. A connection that breaks breaks the other
// one too: a peer must not take an RST for the end of the data. Where relayed,
// down only ends, after everything that was read: on its way through a relay an
// RST would overtake the last bytes, which may be the alert that says why.
func bridge(ctx context.Context, down, up net.Conn, relayed bool) {
	stop := context.AfterFunc(ctx, func() { abort(down); abort(up) })
	defer stop()
	breakDown := abort
	if relayed {
		breakDown = closeWrite
	}
	var wg sync.WaitGroup
	pass := func(to, from net.Conn) {
		if _, err := io.Copy(to, from); err != nil {
			breakDown(down)
			abort(up)
			return
		}
		closeWrite(to)
	}
	wg.Go(func() { pass(down, up) })
	wg.Go(func() { pass(up, down) })
	wg.Wait()
	_, _ = down.Close(), up.Close()
}

// abort closes with RST where that exists.
func abort(c net.Conn) {
	if b, ok := c.(*buffered); ok {
		c = b.Conn
	}
	if l, ok := c.(interface{ SetLinger(sec int) error }); ok {
		_ = l.SetLinger(0)
	}
	_ = c.Close()
}

// closeWrite half-closes what can be half-closed. For the rest, closing would
// cut the other direction short.
func closeWrite(c net.Conn) {
	if hc, ok := c.(interface{ CloseWrite() error }); ok {
		_ = hc.CloseWrite()
	}
}
