// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"context"
	"crypto"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/meshprobe/meshprobe/fixtures"
	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
	"github.com/meshprobe/meshprobe/pkg/probe/probetest"
	"github.com/meshprobe/meshprobe/suites/endpoint"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
	"github.com/meshprobe/meshprobe/suites/seen"
)

const (
	gatewayID  = "spiffe://cluster.local/ns/istio-system/sa/istio-eastwestgateway"
	workloadID = "spiffe://cluster.local/ns/shop/sa/ratings"
)

// TestRecordFixture records the observation that the fixtures of this suite are
// mutations of: double HBONE, the endpoint with most to see. Times, addresses
// and certificates are replaced by those of the fixtures, which stay.
//
//	go test ./suites/endpoint -run TestRecordFixture -args -update
func TestRecordFixture(t *testing.T) {
	if !probetest.Update() {
		t.Skip("writes to fixtures/observations/recorded; asked for with -args -update")
	}
	ca := hbonetest.NewCA(t, "cluster.local")
	inside := &hbone.Server{TLS: ca.ServerTLS(ca.Issue(t, workloadID)), Handler: echo}
	outside := &hbone.Server{TLS: ca.ServerTLS(ca.Issue(t, gatewayID)), Handler: func(context.Context, *hbone.Request) hbone.Answer {
		return hbone.Answer{Serve: func(ctx context.Context, c *hbone.Conn) { _ = inside.ServeConn(ctx, c) }}
	}}
	t.Cleanup(func() { _, _ = outside.Close(), inside.Close() })
	addr := hbonetest.Listen(t, func(ctx context.Context, conn net.Conn) { _ = outside.ServeConn(ctx, conn) })
	client := ca.Issue(t, "spiffe://cluster.local/ns/shop/sa/reviews")
	id := cluster.NewIdentity("spiffe://cluster.local/ns/shop/sa/reviews", seen.Certs(client.Certificate).Parsed(), nil, client.PrivateKey.(crypto.Signer))
	m := endpoint.Met{Seen: (&wire.Observer{}).Observe(t.Context(), wire.Target{
		Kind: wire.DoubleHBONE, Address: addr, Identity: id, To: "ratings.shop.svc.cluster.local:9080", Send: []byte("hello"),
	})}
	if m.Inner == nil || m.Inner.Status != 200 || m.Tunnel == nil {
		t.Fatalf("recorded %+v", m.Seen)
	}
	settle(t, &m)
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("../../fixtures", probetest.RecordedFile(endpoint.Probes()[0].ObservationName()))
	if err := os.WriteFile(path, append(raw, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
}

// settle replaces what differs from recording to recording.
func settle(t *testing.T, m *endpoint.Met) {
	t.Helper()
	read := func(name string) seen.Certs {
		pem, err := fixtures.FS.ReadFile("pki/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return seen.FromPEM(pem)
	}
	m.At, m.Address = fixtures.PKITime(), "10.0.3.7:15008"
	m.TCP.Local, m.TCP.Remote, m.TCP.ConnectMS, m.TotalMS = "10.0.0.1:40000", m.Address, 0.4, 6.1
	m.Asked = endpoint.Asked{Bundle: read("root.pem"), Identity: workloadID, OuterIdentity: workloadID}
	for _, l := range []*wire.Layer{m.Layer, m.Inner} {
		l.Chain, l.Client, l.Certificates = read("good.pem"), read("good.pem"), nil
		l.Authorities = []string{l.Chain.Parsed()[1].Issuer.String()}
		l.RTTMS, l.TookMS, l.CrossMS, l.Received = 0.2, 2.1, 0.3, 4450
	}
	m.Layer.Address, m.Tunnel.FirstMS = m.Address, 0.2
}

func echo(context.Context, *hbone.Request) hbone.Answer {
	return hbone.Answer{Serve: func(_ context.Context, c *hbone.Conn) {
		_, _ = io.Copy(c, c)
		_ = c.CloseWrite()
	}}
}
