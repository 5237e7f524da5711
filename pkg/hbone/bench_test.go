// SPDX-License-Identifier: Apache-2.0

package hbone_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"

	"golang.org/x/net/http2"

	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
)

// BenchmarkConnect opens and closes tunnels on one connection. The naive way,
// x/net's Transport and Server, is what it has to beat.
func BenchmarkConnect(b *testing.B) {
	m := newMesh(b)
	b.Run("hbone", func(b *testing.B) {
		s := benchSession(b, m, func(_ context.Context, c *hbone.Conn) { _, _ = io.Copy(io.Discard, c) })
		benchOpen(b, func() (io.Closer, error) { return s.Open(b.Context(), "10.0.0.1:80", nil) })
	})
	b.Run("naive", func(b *testing.B) {
		cc := naiveConn(b, m)
		benchOpen(b, func() (io.Closer, error) {
			pr, pw := io.Pipe()
			req := (&http.Request{Method: http.MethodConnect, URL: &url.URL{Host: "10.0.0.1:80"}, Host: "10.0.0.1:80", Body: pr}).WithContext(b.Context())
			resp, err := cc.RoundTrip(req)
			if err != nil {
				return nil, err
			}
			return closers{pw, resp.Body}, nil
		})
	})
}

type closers [2]io.Closer

func (c closers) Close() error {
	_ = c[0].Close()
	return c[1].Close()
}

func benchOpen(b *testing.B, open func() (io.Closer, error)) {
	b.Run("sequential", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c, err := open()
			if err != nil {
				b.Fatal(err)
			}
			_ = c.Close()
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				c, err := open()
				if err != nil {
					b.Error(err)
					return
				}
				_ = c.Close()
			}
		})
	})
}

func benchSession(b *testing.B, m *mesh, tunnel func(context.Context, *hbone.Conn)) *hbone.Session {
	b.Helper()
	addr := serve(b, &hbone.Server{TLS: m.serverTLS(), Handler: func(context.Context, *hbone.Request) hbone.Answer {
		return hbone.Answer{Serve: tunnel}
	}})
	s, err := (&hbone.Dialer{TLS: m.clientTLS()}).Connect(b.Context(), addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

func naiveConn(b *testing.B, m *mesh) *http2.ClientConn {
	b.Helper()
	cfg := m.serverTLS()
	cfg.NextProtos = []string{"h2"}
	addr := tlsServer(b, cfg, func(c *tls.Conn) {
		(&http2.Server{}).ServeConn(c, &http2.ServeConnOpts{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			_, _ = io.Copy(io.Discard, r.Body)
		})})
	})
	conn, err := (&tls.Dialer{Config: m.clientTLS()}).DialContext(b.Context(), "tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	cc, err := (&http2.Transport{}).NewClientConn(conn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cc.Close() })
	return cc
}

// BenchmarkTunnelBytes moves 1 MiB per operation one way; "tls" is the bound.
func BenchmarkTunnelBytes(b *testing.B) {
	const size = 1 << 20
	m := newMesh(b)
	send := func(b *testing.B, w io.Writer, acks <-chan struct{}) {
		b.Helper()
		b.SetBytes(size)
		buf := make([]byte, size)
		for b.Loop() {
			if _, err := w.Write(buf); err != nil {
				b.Fatal(err)
			}
			<-acks
		}
	}
	// sink takes size bytes and says so, so that queued bytes do not count.
	sink := func(acks chan<- struct{}) func(io.Reader) {
		return func(r io.Reader) {
			buf := make([]byte, 64<<10)
			for n := 0; ; {
				k, err := r.Read(buf)
				for n += k; n >= size; n -= size {
					acks <- struct{}{}
				}
				if err != nil {
					return
				}
			}
		}
	}
	b.Run("tls", func(b *testing.B) {
		acks := make(chan struct{}, 16)
		drain := sink(acks)
		addr := tlsServer(b, m.serverTLS(), func(c *tls.Conn) { drain(c) })
		conn, err := (&tls.Dialer{Config: m.clientTLS()}).DialContext(b.Context(), "tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer conn.Close()
		send(b, conn, acks)
	})
	b.Run("hbone", func(b *testing.B) {
		acks := make(chan struct{}, 16)
		drain := sink(acks)
		c, err := benchSession(b, m, func(_ context.Context, c *hbone.Conn) { drain(c) }).Open(b.Context(), "10.0.0.1:80", nil)
		if err != nil {
			b.Fatal(err)
		}
		send(b, c, acks)
	})
	b.Run("bridged", func(b *testing.B) {
		acks := make(chan struct{}, 16)
		drain := sink(acks)
		upstream := hbonetest.Listen(b, func(_ context.Context, c net.Conn) { drain(c) })
		addr := serve(b, &hbone.Server{TLS: m.serverTLS(), Handler: func(ctx context.Context, _ *hbone.Request) hbone.Answer {
			up, err := new(net.Dialer).DialContext(ctx, "tcp", upstream)
			if err != nil {
				return hbone.Answer{}
			}
			return hbone.Answer{Upstream: up}
		}})
		d := m.dialer(b)
		c, err := d.DialContext(b.Context(), addr, "10.0.0.1:80")
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		send(b, c, acks)
	})
}

// BenchmarkSession is what a probe pays for a fresh connection: TCP, mutual
// TLS, SETTINGS and one CONNECT, and their end.
func BenchmarkSession(b *testing.B) {
	m := newMesh(b)
	addr := serve(b, &hbone.Server{TLS: m.serverTLS(), Handler: echoHandler})
	d := m.dialer(b)
	b.ReportAllocs()
	for b.Loop() {
		s, err := d.Connect(b.Context(), addr)
		if err != nil {
			b.Fatal(err)
		}
		c, err := s.Open(b.Context(), "10.0.0.1:80", nil)
		if err != nil {
			b.Fatal(err)
		}
		_ = c.Close()
		_ = s.Close()
	}
}
