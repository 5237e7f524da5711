// SPDX-License-Identifier: Apache-2.0

package interop_test

import (
	"context"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites/endpoint"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
)

// fullBacklog is an address at which the kernel drops every SYN: a listener
// with the shortest queue, which nobody empties and these connections fill.
func fullBacklog(t *testing.T) (addr string) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "listener")
	t.Cleanup(func() { _ = file.Close() })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	in4, ok := name.(*syscall.SockaddrInet4)
	if !ok {
		t.Fatalf("the address is a %T", name)
	}
	addr = hbonetest.Loopback(in4.Port)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr); err == nil {
				t.Cleanup(func() { _ = conn.Close() })
			}
		})
	}
	wg.Wait()
	return addr
}

func TestFullBacklog(t *testing.T) {
	t.Parallel()
	target := wire.Target{Kind: wire.TLS, Address: fullBacklog(t), Timeout: 2 * time.Second}
	x := ask(t, &wire.Observer{}, target, endpoint.Asked{})
	x.check(t, want{last: "tcp timeout", cause: "no-answer", verdict: probe.Nonconformant})
	x.sound(t)
}
