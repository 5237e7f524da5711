// SPDX-License-Identifier: Apache-2.0

package hbonetest

import (
	"context"
	"net"
	"sync"
	"testing"
)

// Listen serves every connection to a loopback address with serve, in a
// goroutine of its own, until the test ends; then ctx ends, the connections are
// closed and all goroutines awaited.
func Listen(t testing.TB, serve func(ctx context.Context, conn net.Conn)) (addr string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("hbonetest: %v", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
				defer stop()
				defer func() { _ = conn.Close() }()
				serve(ctx, conn)
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}
