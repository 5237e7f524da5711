// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
	_ "github.com/meshprobe/meshprobe/pkg/probe/probetest" // the flags of every suite
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	serverID = "spiffe://cluster.local/ns/shop/sa/ratings"
	clientID = "spiffe://cluster.local/ns/shop/sa/reviews"
)

// mesh is a root with a server and a client.
type mesh struct {
	ca     *hbonetest.CA
	server tls.Certificate
	client *cluster.Identity
}

func newMesh(t testing.TB) *mesh {
	t.Helper()
	ca := hbonetest.NewCA(t, "mesh")
	c := ca.Issue(t, clientID)
	key, ok := c.PrivateKey.(crypto.Signer)
	if !ok {
		t.Fatal("no signer")
	}
	return &mesh{
		ca: ca, server: ca.Issue(t, serverID),
		client: cluster.NewIdentity(clientID, []*x509.Certificate{c.Leaf}, []*x509.Certificate{ca.Cert}, key),
	}
}

// serveTLS runs handle over TLS until the test ends.
func serveTLS(t testing.TB, cfg *tls.Config, handle func(*tls.Conn)) (addr string) {
	t.Helper()
	return hbonetest.Listen(t, func(ctx context.Context, conn net.Conn) {
		tc := tls.Server(conn, cfg)
		if tc.HandshakeContext(ctx) != nil {
			return
		}
		handle(tc)
		_ = tc.Close()
	})
}

// serve runs handle on the bare stream until the test ends.
func serve(t testing.TB, handle func(net.Conn)) (addr string) {
	t.Helper()
	return hbonetest.Listen(t, func(_ context.Context, conn net.Conn) { handle(conn) })
}

// observe looks at one endpoint with time enough for a slow machine.
func observe(t testing.TB, target wire.Target) wire.Seen {
	t.Helper()
	if target.Timeout == 0 {
		target.Timeout = 20 * time.Second
	}
	o := &wire.Observer{Gate: wire.NewGate(1)}
	return o.Observe(t.Context(), target)
}
