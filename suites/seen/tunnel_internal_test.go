// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"context"
	"crypto"
	"crypto/x509"
	"net"
	"testing"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// TestResetBehindTheAnswer: an ambient gateway may answer 200 and reset the
// stream once bytes flow, which is then what became of the layer inside.
func TestResetBehindTheAnswer(t *testing.T) {
	ca := hbonetest.NewCA(t, "cluster.local")
	server := ca.Issue(t, "spiffe://cluster.local/ns/istio-system/sa/eastwest-ambient")
	addr := hbonetest.Server{TLS: ca.ServerTLS(server), AnswerBeforeDial: true}.Start(t)
	client := ca.Issue(t, "spiffe://cluster.local/ns/shop/sa/cart")
	key, ok := client.PrivateKey.(crypto.Signer)
	if !ok {
		t.Fatalf("a key of type %T", client.PrivateKey)
	}
	id := cluster.NewIdentity("spiffe://cluster.local/ns/shop/sa/cart", []*x509.Certificate{client.Leaf}, nil, key)
	env := probe.EnvOf(nil, nil)
	dial := func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", addr) }
	var outer, inner Layer
	session := outer.Session(t.Context(), env, id, addr, dial)
	if session == nil {
		t.Fatalf("outer layer: %+v", outer)
	}
	t.Cleanup(func() { _ = session.Close() })
	tunnel := outer.Connect(t.Context(), session, UnknownAuthority)
	if tunnel == nil || outer.Status != 200 {
		t.Fatalf("CONNECT: %+v", outer)
	}
	t.Cleanup(func() { _ = tunnel.Close() })
	if within := inner.Inner(t.Context(), env, id, tunnel); within != nil {
		t.Error("somebody is behind the tunnel")
	}
	if inner.Reset != "CONNECT_ERROR" || inner.Outcome.OK() || inner.Outcome == Refused {
		t.Errorf("inner layer: outcome %q, reset %q, error %q", inner.Outcome, inner.Reset, inner.Error)
	}
}
