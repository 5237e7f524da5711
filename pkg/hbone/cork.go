// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"net"
	"sync"
)

// record is the most that one TLS record carries.
const record = 16 << 10

// corkFlush is how much ciphertext is gathered before it is written anyway.
const corkFlush = 128 << 10

// corked sits under TLS and joins the records of one large write: crypto/tls
// makes one system call for every 16 KiB.
type corked struct {
	net.Conn
	mu  sync.Mutex // TLS writes its own alerts and key updates from the reader
	on  bool
	buf []byte
}

func (c *corked) cork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.on = true
}

// uncork writes what was gathered.
func (c *corked) uncork() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.on = false
	return c.flush()
}

func (c *corked) flush() error {
	if len(c.buf) == 0 {
		return nil
	}
	_, err := c.Conn.Write(c.buf)
	c.buf = c.buf[:0]
	return err
}

func (c *corked) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.on && len(c.buf) == 0 {
		return c.Conn.Write(p)
	}
	c.buf = append(c.buf, p...)
	if c.on && len(c.buf) < corkFlush {
		return len(p), nil
	}
	return len(p), c.flush()
}
