// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"net"
	"sync"
)

// maxOpen bounds [OpenLimit].
const maxOpen = 4096

// Gate bounds how many handshakes compute at the same time. Whoever connects,
// or waits for bytes of a peer, is outside: a thousand silent endpoints hold up
// nobody. A nil Gate bounds nothing.
type Gate struct {
	slots chan struct{}
}

// NewGate makes a gate for n handshakes; n below one means one.
func NewGate(n int) *Gate { return &Gate{slots: make(chan struct{}, max(n, 1))} }

// gated is a connection that holds a slot of a gate from the moment its peer's
// bytes are there until it writes, reads again or closes: while its owner
// computes. crypto/tls writes each flight at once and at its end, so nothing is
// computed between a write and the next read.
type gated struct {
	net.Conn
	gate  *Gate
	ctx   context.Context // of the observation: a slot is not waited for beyond it
	clock *budget

	mu     sync.Mutex
	held   bool
	closed chan struct{}
	once   sync.Once
}

var _ net.Conn = (*gated)(nil)

// through puts conn behind the gate, with a slot held for the first flight. It
// returns conn itself where there is no gate.
func (g *Gate) through(ctx context.Context, clock *budget, conn net.Conn) net.Conn {
	if g == nil {
		return conn
	}
	c := &gated{Conn: conn, gate: g, ctx: ctx, clock: clock, closed: make(chan struct{})}
	c.take()
	return c
}

// take waits for a slot. The wait is not the peer's fault, so the observation's
// clock stands still.
func (c *gated) take() {
	select {
	case c.gate.slots <- struct{}{}:
	default:
		c.clock.pause()
		defer c.clock.resume()
		select {
		case c.gate.slots <- struct{}{}:
		case <-c.closed:
			return
		case <-c.ctx.Done():
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.closed:
		<-c.gate.slots
	default:
		c.held = true
	}
}

func (c *gated) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held {
		c.held = false
		<-c.gate.slots
	}
}

// Read waits for bytes without a slot and returns them with one.
func (c *gated) Read(p []byte) (int, error) {
	c.leave()
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.take()
	}
	return n, err
}

// Write gives the slot back: the flight is computed.
func (c *gated) Write(p []byte) (int, error) {
	c.leave()
	return c.Conn.Write(p)
}

// Close gives the slot back.
func (c *gated) Close() error {
	c.once.Do(func() { close(c.closed) })
	c.leave()
	return c.Conn.Close()
}
