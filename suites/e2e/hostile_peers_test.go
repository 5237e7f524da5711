// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// peer is how a hostile peer treats a connection. It returns when it is done
// with it or ctx ends; the connection is closed then.
type peer func(ctx context.Context, conn net.Conn)

// peers are the hostile peers, by name.
func peers(t *testing.T) map[string]peer {
	t.Helper()
	thin, thick := hostileServer(t, 0), hostileServer(t, 1<<20)
	return map[string]peer{
		"hangs at once":          hang,
		"hangs in the handshake": func(ctx context.Context, c net.Conn) { _, _ = c.Write([]byte{22, 3, 3, 64, 0, 2, 0}); hang(ctx, c) },
		"hangs after TLS":        func(ctx context.Context, c net.Conn) { _ = tls.Server(c, thin).HandshakeContext(ctx); hang(ctx, c) },
		"resets":                 reset,
		"resets in the handshake": func(_ context.Context, c net.Conn) {
			_, _ = io.ReadFull(c, make([]byte, 64))
			reset(context.Background(), c)
		},
		"garbage":               garbage,
		"drips":                 drip,
		"plain HTTP":            func(_ context.Context, c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n") },
		"certificates of 1 MiB": func(ctx context.Context, c net.Conn) { _ = tls.Server(c, thick).HandshakeContext(ctx) },
		"floods with PING":      func(ctx context.Context, c net.Conn) { flood(ctx, tls.Server(c, thin)) },
	}
}

func hang(ctx context.Context, _ net.Conn) { <-ctx.Done() }

func reset(_ context.Context, conn net.Conn) {
	if tc, ok := conn.(*net.TCPConn); ok {
		_ = tc.SetLinger(0)
	}
}

// garbage never ends, and is the same each time.
func garbage(_ context.Context, conn net.Conn) {
	noise := mathrand.NewChaCha8([32]byte{1})
	_, _ = io.Copy(conn, noise)
}

// drip sends a record that never gets whole, byte by byte.
func drip(ctx context.Context, conn net.Conn) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for b := []byte{22, 3, 3, 64, 0, 2, 0, 63, 0}; ; b = []byte{0} {
		if _, err := conn.Write(b); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// flood speaks HTTP/2 well enough to keep its caller busy.
func flood(ctx context.Context, conn *tls.Conn) {
	if conn.HandshakeContext(ctx) != nil {
		return
	}
	framer := http2.NewFramer(conn, nil)
	if framer.WriteSettings() != nil {
		return
	}
	for framer.WritePing(false, [8]byte{}) == nil {
	}
}

// hostileServer shows a self-signed certificate with size bytes of ballast.
func hostileServer(t *testing.T, size int) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "nobody"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if size > 0 {
		template.ExtraExtensions = []pkix.Extension{{Id: []int{1, 3, 6, 1, 4, 1, 99999, 1}, Value: make([]byte, size)}}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		ClientAuth:   tls.RequestClientCert, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12,
	}
}

// trap is a real listener whose connections a hostile peer serves.
type trap struct {
	addr   string
	caught func() int
}

// newTrap serves until the test is over; it ends before leakFree looks.
func newTrap(t *testing.T, p peer) *trap {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var mu sync.Mutex
	n := 0
	serve := func(conn net.Conn) {
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		defer stop()
		defer conn.Close()
		p(ctx, conn)
	}
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			n++
			mu.Unlock()
			wg.Go(func() { serve(conn) })
		}
	})
	t.Cleanup(func() { cancel(); _ = ln.Close(); wg.Wait() })
	return &trap{addr: ln.Addr().String(), caught: func() int { mu.Lock(); defer mu.Unlock(); return n }}
}

// intercepted is a cluster some of whose dials go elsewhere. Its abilities are
// found through Unwrap.
type intercepted struct {
	cluster.Cluster
	dial func(ctx context.Context, from cluster.Workload, addr string) (net.Conn, error) // errPass for the real one
}

var errPass = errors.New("not intercepted")

func (c *intercepted) Unwrap() cluster.Cluster { return c.Cluster }

func (c *intercepted) Dial(ctx context.Context, from cluster.Workload, addr string) (net.Conn, error) {
	conn, err := c.dial(ctx, from, addr)
	if errors.Is(err, errPass) {
		return c.Cluster.Dial(ctx, from, addr)
	}
	return conn, err
}

// intercept wraps every cluster of a set.
func intercept(set *cluster.Set, dial func(ctx context.Context, c cluster.Cluster, from cluster.Workload, addr string) (net.Conn, error)) *cluster.Set {
	wrapped := make([]cluster.Cluster, len(set.Clusters))
	for i, c := range set.Clusters {
		wrapped[i] = &intercepted{Cluster: c, dial: func(ctx context.Context, from cluster.Workload, addr string) (net.Conn, error) {
			return dial(ctx, c, from, addr)
		}}
	}
	return cluster.NewSet(set.Provider, set.Topology, wrapped, nil)
}

// leadTo sends the dials to some addresses into a trap.
func leadTo(set *cluster.Set, tr *trap, chosen func(addr string) bool) *cluster.Set {
	return intercept(set, func(ctx context.Context, _ cluster.Cluster, _ cluster.Workload, addr string) (net.Conn, error) {
		if !chosen(addr) {
			return nil, errPass
		}
		return new(net.Dialer).DialContext(ctx, "tcp", tr.addr)
	})
}
