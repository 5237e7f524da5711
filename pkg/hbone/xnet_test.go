// SPDX-License-Identifier: Apache-2.0

package hbone_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"github.com/meshprobe/meshprobe/pkg/hbone"
)

// TestAgainstXNet: the other Go implementation of HTTP/2, at either end.
func TestAgainstXNet(t *testing.T) {
	m := newMesh(t)
	want := bytes.Repeat([]byte("x/net"), 1<<20)
	t.Run("its-server", func(t *testing.T) {
		cfg := m.serverTLS()
		cfg.NextProtos = []string{"h2"}
		addr := tlsServer(t, cfg, func(c *tls.Conn) {
			(&http2.Server{}).ServeConn(c, &http2.ServeConnOpts{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusOK)
				_ = http.NewResponseController(w).Flush()
				_, _ = io.Copy(w, r.Body)
			})})
		})
		c, err := m.dialer(t).DialContext(t.Context(), addr, "10.0.0.1:80")
		if err != nil {
			t.Fatal(err)
		}
		roundTrip(t, c, want)
	})
	t.Run("its-client", func(t *testing.T) {
		addr := serve(t, &hbone.Server{TLS: m.serverTLS(), Handler: echoHandler})
		conn, err := (&tls.Dialer{Config: m.clientTLS()}).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		cc, err := (&http2.Transport{}).NewClientConn(conn)
		if err != nil {
			t.Fatal(err)
		}
		defer cc.Close()
		req := (&http.Request{
			Method: http.MethodConnect, URL: &url.URL{Host: "10.0.0.1:80"}, Host: "10.0.0.1:80",
			Body: io.NopCloser(bytes.NewReader(want)),
		}).WithContext(t.Context())
		resp, err := cc.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("read %d bytes of %d: %v", len(got), len(want), err)
		}
	})
}

// TestDialerGoesBeyondTheStreamLimit: where a connection is full, another one
// is made, and an ended tunnel makes room again.
func TestDialerGoesBeyondTheStreamLimit(t *testing.T) {
	m := newMesh(t)
	addr := serve(t, &hbone.Server{TLS: m.serverTLS(), Handler: echoHandler, Settings: hbone.Settings{MaxConcurrentStreams: 2}})
	var dialed atomic.Int64
	d := m.dialer(t)
	d.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialed.Add(1)
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	var conns []*hbone.Conn
	for range 5 {
		c, err := d.DialContext(t.Context(), addr, "10.0.0.1:80")
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	if got := dialed.Load(); got != 3 {
		t.Errorf("%d connections for 5 tunnels at 2 each, want 3", got)
	}
	for _, c := range conns {
		roundTrip(t, c, []byte("x"))
	}
	if _, err := d.DialContext(t.Context(), addr, "10.0.0.1:80"); err != nil {
		t.Fatal(err)
	}
	if got := dialed.Load(); got != 3 {
		t.Errorf("%d connections after tunnels had ended, want 3", got)
	}
}
