// SPDX-License-Identifier: Apache-2.0

package hbone_test

import (
	"context"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/hbone"
)

// fullConn is a connection whose send buffer is full after a few more writes,
// once it is told to: writes wait for their deadline or for Close.
type fullConn struct {
	net.Conn
	mu       sync.Mutex
	left     int // writes that still fit, -1 for all
	deadline time.Time
	changed  chan struct{} // closed and made anew with each deadline
}

func (c *fullConn) fill(left int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = left
}

func (c *fullConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	close(c.changed)
	c.changed = make(chan struct{})
	return c.Conn.SetWriteDeadline(t)
}

func (c *fullConn) Close() error {
	_ = c.SetWriteDeadline(time.Unix(1, 0))
	return c.Conn.Close()
}

func (c *fullConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.left != 0 {
		if c.left > 0 {
			c.left--
		}
		c.mu.Unlock()
		return c.Conn.Write(p)
	}
	for {
		wait, changed := time.Until(c.deadline), c.changed
		c.mu.Unlock()
		if wait <= 0 {
			return 0, os.ErrDeadlineExceeded
		}
		select {
		case <-time.After(wait):
		case <-changed:
		}
		c.mu.Lock()
	}
}

// TestCloseTowardsFullPeer: a peer that reads no more costs Close about a
// second, not the five that crypto/tls gives a close_notify.
func TestCloseTowardsFullPeer(t *testing.T) {
	m := newMesh(t)
	addr := serve(t, &hbone.Server{TLS: m.serverTLS(), Handler: echoHandler})
	var full *fullConn
	d := &hbone.Dialer{TLS: m.clientTLS(), Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		full = &fullConn{Conn: conn, left: -1, changed: make(chan struct{})}
		return full, err
	}}
	s, err := d.Connect(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	full.fill(1) // GOAWAY fits, close_notify does not
	begin := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
}
