// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"net"
	"testing"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// TestServeEndsEverything: whatever a connection is doing, the end of the
// context ends it, and Serve waits for that.
func TestServeEndsEverything(t *testing.T) {
	var clients []net.Conn
	t.Cleanup(func() { // registered first, so that the clients outlive the listeners
		for _, c := range clients {
			_ = c.Close()
		}
	})
	hold := func(addr string) net.Conn {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
		return c
	}
	a := newCA(t)
	silent := func(_ context.Context, c net.Conn) { _, _ = c.Read(make([]byte, 1)) }
	s := newSidecar(t, a, cluster.Permissive, "tcp")
	s.App = silent
	stuck := start(t, s.Serve)
	g := &Passthrough{Route: func(string) (Dial, bool) { return to(stuck), true }}
	addr := start(t, g.Serve)
	z := newZtunnel(t, a)
	z.App = silent
	hboneAddr := start(t, z.ServeHBONE)

	hold(addr)  // never sends a byte
	hold(stuck) // likewise
	c := hold(addr)
	_, _ = c.Write(helloBytes(t, "x", "istio")) // the handshake never goes on
	c = hold(stuck)
	_, _ = c.Write([]byte("plaintext to a silent application"))
	id := a.svid(t, spiffe(ownDomain, "reviews"))
	if got := verdict(hold(hboneAddr), hboneTLS(id), settingsProof); got != "accepted" {
		t.Error(got)
	}
	// start's cleanup demands that each Serve returns, goleak that nothing is left.
}
