// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"net"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// strange is an identity that the mesh's root did not sign.
func strange(t testing.TB) *cluster.Identity {
	t.Helper()
	ca := hbonetest.NewCA(t, "elsewhere")
	c := ca.Issue(t, clientID)
	return cluster.NewIdentity(clientID, []*x509.Certificate{c.Leaf}, []*x509.Certificate{ca.Cert}, c.PrivateKey.(crypto.Signer))
}

// flaky serves the mesh over TLS on its first connections and cuts those after
// them.
func flaky(t testing.TB, m *mesh, first int64) (addr string) {
	t.Helper()
	s := &hbone.Server{TLS: m.ca.ServerTLS(m.server), Handler: echo}
	t.Cleanup(func() { _ = s.Close() })
	var n atomic.Int64
	return hbonetest.Listen(t, func(ctx context.Context, conn net.Conn) {
		if n.Add(1) <= first {
			_ = s.ServeConn(ctx, conn)
		}
	})
}

// TestControl shows the client's own certificate where another is refused, and
// only there.
func TestControl(t *testing.T) {
	m := newMesh(t)
	hboneAddr := serveHBONE(t, m.ca.ServerTLS(m.server), echo)
	inner := &hbone.Server{TLS: m.ca.ServerTLS(m.server), Handler: echo}
	t.Cleanup(func() { _ = inner.Close() })
	anyone := m.ca.ServerTLS(m.server)
	anyone.ClientCAs, anyone.ClientAuth = nil, 0
	behind := serveHBONE(t, anyone, func(context.Context, *hbone.Request) hbone.Answer {
		return hbone.Answer{Serve: func(ctx context.Context, c *hbone.Conn) { _ = inner.ServeConn(ctx, c) }}
	})
	accepted := &wire.Control{Identity: clientID, Outcome: seen.Accepted, Proof: "SETTINGS"}
	for _, tc := range []struct {
		name      string
		addr      string
		target    wire.Target
		identity  *cluster.Identity
		want      *wire.Control
		connected int
	}{
		{"own", hboneAddr, wire.Target{}, m.client, nil, 1},
		{"foreign", hboneAddr, wire.Target{Client: wire.Foreign}, m.client, accepted, 2},
		{"none", hboneAddr, wire.Target{Client: wire.None}, m.client, accepted, 2},
		{"nothing to compare with", hboneAddr, wire.Target{Client: wire.Foreign}, nil, nil, 1},
		{"foreign accepted", behind, wire.Target{Client: wire.Foreign, To: "-"}, m.client, nil, 1},
		{
			"own refused as well", hboneAddr,
			wire.Target{Client: wire.Foreign},
			strange(t),
			&wire.Control{Identity: clientID, Outcome: seen.Refused, Alert: "unknown_ca"}, 2,
		},
		{
			"inside a tunnel", behind,
			wire.Target{Kind: wire.DoubleHBONE, Client: wire.Foreign},
			m.client,
			accepted, 2,
		},
		{
			"cut", flaky(t, m, 1),
			wire.Target{Client: wire.None},
			m.client,
			&wire.Control{Identity: clientID, Outcome: seen.Closed, Early: true}, 2,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.target.Kind, tc.target.Address, tc.target.Identity = cmp.Or(tc.target.Kind, wire.HBONE), tc.addr, tc.identity
			switch tc.target.To {
			case "":
				tc.target.To = "ratings.shop:9080"
			case "-":
				tc.target.To = ""
			}
			tc.target.Quiet = 100 * time.Millisecond
			s := observe(t, tc.target)
			if s.Control != nil {
				s.Control.TookMS, s.Control.Error, s.Control.End = 0, "", "" // whether FIN or RST is a race
			}
			if diff := gocmp.Diff(tc.want, s.Control); diff != "" {
				t.Errorf("%s\n%+v", diff, s.Last())
			}
			if s.Connections != tc.connected {
				t.Errorf("%d connections, want %d", s.Connections, tc.connected)
			}
		})
	}
}
