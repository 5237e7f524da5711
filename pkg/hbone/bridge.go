// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"golang.org/x/net/http2"
)

const bridgeBuffer = 32 << 10

// bridge copies both ways between a tunnel and its upstream until both
// directions have ended, passing each half-close on, and closes both. A client
// that resets the tunnel ends the upstream too, but not before what it sent
// ahead of a CANCEL, the reset of an orderly close, was passed on.
func bridge(ctx context.Context, c *Conn, up net.Conn) {
	var wg sync.WaitGroup
	inbound, outbound := make(chan struct{}), make(chan struct{})
	wg.Go(func() {
		defer close(inbound)
		if _, err := c.WriteTo(up); err != nil {
			c.Reset(http2.ErrCodeConnect)
			abort(up)
			return
		}
		closeWrite(up)
	})
	wg.Go(func() {
		select {
		case <-c.aborted:
			if c.gracefulEnd() {
				<-inbound
			}
			abort(up)
		case <-ctx.Done():
			abort(up)
		case <-outbound:
		}
	})
	if err := copyTo(c, up); err != nil {
		c.Reset(http2.ErrCodeConnect)
		abort(up)
	} else {
		_ = c.CloseWrite()
	}
	<-inbound
	close(outbound)
	wg.Wait()
	_ = up.Close()
	_ = c.Close()
}

// gracefulEnd tells a reset that reads as io.EOF from one that is an error.
func (c *Conn) gracefulEnd() bool {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	return isGraceful(c.failure)
}

func isGraceful(err error) bool {
	re, ok := errors.AsType[*ResetError](err)
	return ok && re.Remote && (re.Code == http2.ErrCodeNo || re.Code == http2.ErrCodeCancel)
}

// abort closes with RST where that exists: the other end must not take a broken
// tunnel for the end of the data.
func abort(up net.Conn) {
	if l, ok := up.(interface{ SetLinger(sec int) error }); ok {
		_ = l.SetLinger(0)
	}
	_ = up.Close()
}

// closeWrite half-closes what can be half-closed. For the rest, closing would
// cut the other direction short.
func closeWrite(up net.Conn) {
	if hc, ok := up.(interface{ CloseWrite() error }); ok {
		_ = hc.CloseWrite()
	}
}

// copyTo is io.Copy with a buffer that suits a DATA frame.
func copyTo(c *Conn, r io.Reader) error {
	buf := make([]byte, bridgeBuffer)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if _, werr := c.Write(buf[:n]); werr != nil {
				return werr
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
