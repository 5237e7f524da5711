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

// bridge copies both ways between a tunnel and its upstream until both
// directions have ended, passing each half-close on, and closes both.
func bridge(ctx context.Context, c *Conn, up net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = up.Close() })
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := c.WriteTo(up); err != nil {
			// Either end is broken, so the other direction has no reader or writer.
			c.Reset(http2.ErrCodeConnect)
			_ = up.Close()
			return
		}
		closeWrite(up)
	})
	_, err := copyTo(c, up)
	switch {
	case err == nil:
		_ = c.CloseWrite()
	default:
		c.Reset(http2.ErrCodeConnect)
		_ = up.Close()
	}
	wg.Wait()
	_ = up.Close()
	_ = c.Close()
}

// closeWrite half-closes what can be half-closed. For the rest, closing would
// cut the other direction short.
func closeWrite(up net.Conn) {
	if hc, ok := up.(interface{ CloseWrite() error }); ok {
		_ = hc.CloseWrite()
	}
}

// copyTo is io.Copy with a buffer of one DATA frame.
func copyTo(c *Conn, r io.Reader) (int64, error) {
	var total int64
	buf := make([]byte, bridgeBuffer)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			w, werr := c.Write(buf[:n])
			total += int64(w)
			if werr != nil {
				return total, werr
			}
		}
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

const bridgeBuffer = 32 << 10
