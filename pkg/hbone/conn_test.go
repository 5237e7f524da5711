// SPDX-License-Identifier: Apache-2.0

package hbone_test

import (
	"context"
	"net"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/meshprobe/meshprobe/pkg/hbone"
)

// pipe makes a tunnel and returns its two ends.
func pipe(t *testing.T, m *mesh, settings hbone.Settings) (client, server *hbone.Conn, stop func()) {
	t.Helper()
	l := listen(t)
	accepted := make(chan *hbone.Conn, 1)
	release := make(chan struct{})
	srv := &hbone.Server{TLS: m.serverTLS(), Settings: settings, Handler: func(context.Context, *hbone.Request) hbone.Answer {
		return hbone.Answer{Serve: func(ctx context.Context, c *hbone.Conn) {
			accepted <- c
			select {
			case <-release:
			case <-ctx.Done():
			}
		}}
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(context.Background(), l)
	}()
	d := &hbone.Dialer{TLS: m.clientTLS(), Settings: settings}
	c, err := d.DialContext(t.Context(), l.Addr().String(), "10.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	return c, <-accepted, func() {
		close(release)
		_ = d.Close()
		_ = srv.Close()
		<-done
	}
}

func TestConnIsANetConn(t *testing.T) {
	m := newMesh(t)
	for name, settings := range map[string]hbone.Settings{
		"ztunnel-windows": {},
		"small-windows":   {StreamWindow: 4096, ConnWindow: 65535, MaxFrameSize: 16384},
	} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				c, s, stop := pipe(t, m, settings)
				return c, s, stop, nil
			})
		})
		t.Run(name+"-reversed", func(t *testing.T) {
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				c, s, stop := pipe(t, m, settings)
				return s, c, stop, nil
			})
		})
	}
}
