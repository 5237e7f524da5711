// SPDX-License-Identifier: Apache-2.0

package hbone_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"testing"

	"go.uber.org/goleak"

	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	serverID = "spiffe://cluster.local/ns/shop/sa/ratings"
	clientID = "spiffe://cluster.local/ns/shop/sa/reviews"
)

// mesh is one trust root with a client and a server identity.
type mesh struct {
	ca             *hbonetest.CA
	client, server tls.Certificate
}

func newMesh(t testing.TB) *mesh {
	t.Helper()
	ca := hbonetest.NewCA(t, "cluster.local")
	return &mesh{ca: ca, client: ca.Issue(t, clientID), server: ca.Issue(t, serverID)}
}

func (m *mesh) clientTLS() *tls.Config {
	return hbone.ClientTLS(func() (*tls.Certificate, error) { return &m.client, nil }, m.ca.Verify(serverID))
}

func (m *mesh) serverTLS() *tls.Config { return m.ca.ServerTLS(m.server) }

func (m *mesh) dialer(t testing.TB) *hbone.Dialer {
	t.Helper()
	d := &hbone.Dialer{TLS: m.clientTLS()}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serve runs srv on loopback until the test ends.
func serve(t testing.TB, srv *hbone.Server) (addr string) {
	t.Helper()
	l := listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(context.WithoutCancel(t.Context()), l)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return l.Addr().String()
}

// echo returns everything until the client's END_STREAM.
func echo(_ context.Context, c *hbone.Conn) { _, _ = io.Copy(c, c) }

func echoHandler(context.Context, *hbone.Request) hbone.Answer { return hbone.Answer{Serve: echo} }
