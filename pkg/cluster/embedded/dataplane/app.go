// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/http2"
)

// App is the application of a workload: it serves one connection, in
// plaintext as far as it can tell, until the peer has ended or the connection
// is closed under it. It does not close the connection itself.
type App func(ctx context.Context, c net.Conn)

const (
	appIdle    = time.Minute
	appHeaders = 64 << 10
	appBody    = 1 << 20
)

// HTTPApp answers every request with 200 and the name in a line of text, over
// HTTP/1.1 or, where the peer begins with the HTTP/2 preface, over that (the
// HTTP connection manager of a sidecar takes both). Requests are bounded in
// bytes and time; what is no HTTP gets 400.
func HTTPApp(name string) App {
	body := name + "\n"
	return func(ctx context.Context, c net.Conn) {
		until(c, appIdle)
		limit := &io.LimitedReader{R: c, N: appHeaders}
		in := bufio.NewReaderSize(limit, 2048)
		if head, _ := in.Peek(3); string(head) == http2.ClientPreface[:3] {
			limit.N = 1 << 40 // HTTP/2 bounds its frames itself
			serveHTTP2(ctx, c, in, body)
			return
		}
		for answer(c, in, limit, body) {
			until(c, appIdle)
			limit.N = appHeaders
		}
		drain(c)
	}
}

// answer serves one request; false ends the connection.
func answer(c net.Conn, in *bufio.Reader, limit *io.LimitedReader, body string) bool {
	req, err := http.ReadRequest(in)
	if err != nil {
		if !errors.Is(err, io.EOF) {
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		}
		return false
	}
	limit.N = appBody
	_, err = io.Copy(io.Discard, req.Body)
	again := err == nil && !req.Close && limit.N > 0
	how := "keep-alive"
	if !again {
		how = "close"
	}
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: %s\r\n\r\n", len(body), how)
	if req.Method != http.MethodHead {
		head += body
	}
	_, err = io.WriteString(c, head)
	return again && err == nil
}

func serveHTTP2(ctx context.Context, c net.Conn, in io.Reader, body string) {
	srv := &http2.Server{MaxConcurrentStreams: 100, IdleTimeout: appIdle}
	forever(c)
	srv.ServeConn(&readerConn{Conn: c, in: in}, &http2.ServeConnOpts{
		Context: ctx,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = io.WriteString(w, body)
		}),
	})
}

// readerConn reads through a buffer that was filled already.
type readerConn struct {
	net.Conn
	in io.Reader
}

func (c *readerConn) Read(p []byte) (int, error) { return c.in.Read(p) }

// EchoApp sends every byte back and half-closes after the peer did.
func EchoApp(_ context.Context, c net.Conn) {
	buf := make([]byte, 16<<10)
	for {
		until(c, appIdle)
		n, err := c.Read(buf)
		if n > 0 {
			if _, werr := c.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			closeWrite(c)
			return
		}
	}
}

var _ App = EchoApp
