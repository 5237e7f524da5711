// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"

	"golang.org/x/net/http2"

	"github.com/meshprobe/meshprobe/pkg/hbone"
)

// connects compares CONNECT per second over one connection with a naive tunnel
// on x/net's HTTP/2 client, against one and the same server.
func connects(ctx context.Context) (*contest, error) {
	m, addr, stop, err := hboneServer(ctx, func(_ context.Context, c *hbone.Conn) { _, _ = io.Copy(io.Discard, c) })
	if err != nil {
		return nil, err
	}
	session, err := (&hbone.Dialer{TLS: m.clientTLS("h2")}).Connect(ctx, addr)
	if err != nil {
		stop()
		return nil, err
	}
	naive, conn, err := naiveClient(ctx, addr, m)
	if err != nil {
		return nil, errors.Join(err, session.Close())
	}
	const authority = "10.0.0.1:80"
	return &contest{
		name: "HBONE CONNECT over one connection", unit: "/s", goal: 1, than: "naive x/net/http2 tunnel",
		close: func() { _ = session.Close(); _ = conn.Close(); stop() },
		ours: together(func(ctx context.Context) error {
			c, err := session.Open(ctx, authority, nil)
			if err != nil {
				return err
			}
			return c.Close()
		}),
		other: together(func(ctx context.Context) error { return naiveConnect(ctx, naive, authority) }),
	}, nil
}

func naiveClient(ctx context.Context, addr string, m *mesh) (*http2.ClientConn, net.Conn, error) {
	conn, err := (&tls.Dialer{Config: m.clientTLS("h2")}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, fmt.Errorf("dial: %w", err)
	}
	cc, err := new(http2.Transport).NewClientConn(conn)
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return cc, conn, nil
}

func naiveConnect(ctx context.Context, cc *http2.ClientConn, authority string) error {
	pr, pw := io.Pipe()
	req := (&http.Request{Method: http.MethodConnect, URL: &url.URL{Host: authority}, Host: authority, Body: pr}).WithContext(ctx)
	resp, err := cc.RoundTrip(req)
	if err != nil {
		return err
	}
	return errors.Join(pw.Close(), resp.Body.Close())
}

// chunk is what one write of the byte contest carries; it is acknowledged, so
// that queued bytes do not count.
const chunk = 4 << 20

// tunnels compares bytes through a tunnel with bytes over the same TLS.
func tunnels(ctx context.Context) (*contest, error) {
	acks := make(chan struct{}, 16)
	m, addr, stop, err := hboneServer(ctx, func(_ context.Context, c *hbone.Conn) { sink(c, acks) })
	if err != nil {
		return nil, err
	}
	dialer := &hbone.Dialer{TLS: m.clientTLS("h2")}
	tunnel, err := dialer.DialContext(ctx, addr, "10.0.0.1:80")
	if err != nil {
		stop()
		return nil, err
	}
	plainAcks := make(chan struct{}, 16)
	plain, stopPlain, err := plainTLS(ctx, m, plainAcks)
	if err != nil {
		return nil, errors.Join(err, dialer.Close())
	}
	return &contest{
		name: "MiB through an HBONE tunnel", unit: "MiB/s", goal: 0.8, than: "plain TLS",
		close: func() { _ = tunnel.Close(); _ = dialer.Close(); stop(); _ = plain.Close(); stopPlain() },
		ours:  func(context.Context) (float64, error) { return push(tunnel, acks) },
		other: func(context.Context) (float64, error) { return push(plain, plainAcks) },
	}, nil
}

func push(w io.Writer, acks <-chan struct{}) (float64, error) {
	if _, err := w.Write(make([]byte, chunk)); err != nil {
		return 0, err
	}
	<-acks
	return chunk >> 20, nil
}

// sink takes bytes and acknowledges each chunk.
func sink(r io.Reader, acks chan<- struct{}) {
	buf := make([]byte, 64<<10)
	for n := 0; ; {
		k, err := r.Read(buf)
		for n += k; n >= chunk; n -= chunk {
			acks <- struct{}{}
		}
		if err != nil {
			return
		}
	}
}

func hboneServer(ctx context.Context, serve func(context.Context, *hbone.Conn)) (m *mesh, addr string, stop func(), err error) {
	if m, err = newMesh(); err != nil {
		return nil, "", nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", nil, fmt.Errorf("listen: %w", err)
	}
	s := &hbone.Server{TLS: m.serverTLS("h2"), Handler: func(context.Context, *hbone.Request) hbone.Answer {
		return hbone.Answer{Status: http.StatusOK, Serve: serve}
	}}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(ctx, l) })
	return m, l.Addr().String(), func() { _ = s.Close(); wg.Wait() }, nil
}

func plainTLS(ctx context.Context, m *mesh, acks chan<- struct{}) (net.Conn, func(), error) {
	l, err := tls.Listen("tcp", "127.0.0.1:0", m.serverTLS())
	if err != nil {
		return nil, nil, fmt.Errorf("listen: %w", err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		sink(conn, acks)
		_ = conn.Close()
	})
	conn, err := (&tls.Dialer{Config: m.clientTLS()}).DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	return conn, func() { _ = l.Close(); wg.Wait() }, nil
}
