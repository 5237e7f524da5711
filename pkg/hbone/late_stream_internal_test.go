// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestStreamBehindTheEnd: the reader may hold a CONNECT in its buffer when the
// connection is ended here. Nobody is left to tell such a stream, so it must
// end at once, and its handler must never start.
func TestStreamBehindTheEnd(t *testing.T) {
	a, b := net.Pipe()
	defer func() { _, _ = a.Close(), b.Close() }()
	started := make(chan struct{}, 1)
	sc := newServerConn(&Server{Handler: func(context.Context, *Request) Answer {
		started <- struct{}{}
		return Answer{}
	}}, b, nil)
	sc.ctx = t.Context()
	var opened *Conn
	sc.m.onRequest = func(c *Conn, f *http2.MetaHeadersFrame) {
		opened = c
		sc.accept(c, f)
	}
	sc.m.fail(net.ErrClosed)

	sc.m.mu.Lock()
	err := sc.m.acceptStream(&http2.MetaHeadersFrame{
		HeadersFrame: &http2.HeadersFrame{FrameHeader: http2.FrameHeader{StreamID: 1, Flags: http2.FlagHeadersEndHeaders}},
		Fields:       []hpack.HeaderField{{Name: ":method", Value: "CONNECT"}, {Name: ":authority", Value: "10.0.0.1:80"}},
	})
	sc.m.mu.Unlock()
	if err == nil {
		t.Error("the reader goes on behind the end of the connection")
	}
	_ = opened.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := opened.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a read of the stream: %v, want the end of the connection", err)
	}
	sc.handlers.Wait()
	select {
	case <-started:
		t.Error("a handler was started")
	default:
	}
}
