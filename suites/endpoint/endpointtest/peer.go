// SPDX-License-Identifier: Apache-2.0

package endpointtest

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
)

// Peer is how a hostile peer treats one connection, from its first byte on. It
// returns when it is done with it or ctx has ended; its caller closes conn.
type Peer func(ctx context.Context, conn net.Conn)

// Start serves every connection to a loopback address until the test ends.
func (p Peer) Start(t testing.TB) (addr string) {
	t.Helper()
	return hbonetest.Listen(t, p)
}

// Mesh is what hostile peers know of the mesh that they pretend to be part of.
type Mesh struct {
	CA     *hbonetest.CA
	Server tls.Certificate // issued by CA, what a good peer would show
}

// Peers returns all hostile peers by name. Servers certificates, where a peer
// has one that can be read, are those of m.
func Peers(t testing.TB, m Mesh) map[string]Peer {
	t.Helper()
	all := map[string]Peer{}
	for _, some := range []map[string]Peer{
		plainPeers(), floodPeers(), helloPeers(m), flightPeers(t, m), certificatePeers(t, m), sealedPeers(m), http2Peers(m), tunnelPeers(m),
	} {
		for name, peer := range some {
			if all[name] != nil {
				t.Fatalf("endpointtest: two peers are named %s", name)
			}
			all[name] = peer
		}
	}
	return all
}

// config is the TLS side of a good peer.
func (m Mesh) config() *tls.Config {
	cfg := m.CA.ServerTLS(m.Server)
	cfg.MinVersion = tls.VersionTLS12
	cfg.SessionTicketsDisabled = true
	cfg.NextProtos = []string{"h2", "istio", "http/1.1"}
	return cfg
}

// drain reads until the client is done: closing with unread bytes would make a
// kernel send RST behind, or instead of, what was written.
func drain(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// finish ends the stream with FIN and waits for the client to do so.
func finish(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	drain(conn)
}

// reset makes the close behind it send RST.
func reset(conn net.Conn) {
	if tc, ok := conn.(*net.TCPConn); ok {
		_ = tc.SetLinger(0)
	}
}

// hello reads a ClientHello, or whatever else comes first.
func hello(conn net.Conn) []byte {
	buf := make([]byte, 16<<10)
	n, _ := io.ReadAtLeast(conn, buf, 1)
	return buf[:n]
}

// says writes text and ends the stream.
func says(text string) Peer {
	return func(_ context.Context, conn net.Conn) {
		_, _ = io.WriteString(conn, text)
		finish(conn)
	}
}

// answers writes text once something was asked, and ends the stream.
func answers(text string) Peer {
	return func(_ context.Context, conn net.Conn) {
		hello(conn)
		_, _ = io.WriteString(conn, text)
		finish(conn)
	}
}

// floods writes what until the client goes away.
func floods(conn io.Writer, what []byte) {
	for {
		if _, err := conn.Write(what); err != nil {
			return
		}
	}
}

// drips writes what byte by byte, with a pause behind each, then zeros.
func drips(ctx context.Context, conn net.Conn, what []byte, pause time.Duration) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		next := []byte{0}
		if len(what) > 0 {
			next, what = what[:1], what[1:]
		}
		if _, err := conn.Write(next); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
