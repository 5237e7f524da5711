// SPDX-License-Identifier: Apache-2.0

package vnet_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/vnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	pod      = netip.MustParseAddrPort("10.0.0.1:9080")
	external = netip.MustParseAddr("192.0.2.1")
)

// serve answers each connection with a word, until the test ends.
func serve(t *testing.T, n *vnet.Net, network string, at netip.AddrPort, word string) (stop func()) {
	t.Helper()
	detach := n.Attach(network, at.Addr())
	ln, err := n.Listen(t.Context(), network, at)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, word)
			_ = c.Close()
		}
	})
	stop = sync.OnceFunc(func() {
		_ = ln.Close()
		detach()
		wg.Wait()
	})
	t.Cleanup(stop)
	return stop
}

func TestDial(t *testing.T) {
	n := &vnet.Net{ConnectTimeout: 20 * time.Millisecond}
	stop := serve(t, n, "east", pod, "east")
	n.Publish(external, func(port uint16) (string, netip.AddrPort, bool) {
		return "east", pod, port == 15443
	})
	for name, tc := range map[string]struct {
		network, to string
		want        error // nil: the pod answers
		timeout     bool
	}{
		"same-network":            {network: "east", to: "10.0.0.1:9080"},
		"port-nobody-listens-on":  {network: "east", to: "10.0.0.1:9081", want: syscall.ECONNREFUSED},
		"pod-of-another-network":  {network: "west", to: "10.0.0.1:9080", timeout: true},
		"address-nobody-has":      {network: "east", to: "10.0.0.2:9080", timeout: true},
		"published-from-afar":     {network: "west", to: "192.0.2.1:15443"},
		"published-from-near":     {network: "east", to: "192.0.2.1:15443"},
		"published-port-unmapped": {network: "west", to: "192.0.2.1:80", want: syscall.ECONNREFUSED},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := n.Dial(t.Context(), tc.network, netip.MustParseAddrPort(tc.to))
			if tc.timeout {
				if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() {
					t.Fatalf("want a timeout, got %v", err)
				}
				return
			}
			if !errors.Is(err, tc.want) {
				t.Fatalf("want %v, got %v", tc.want, err)
			}
			if tc.want != nil {
				return
			}
			defer c.Close()
			if got, err := io.ReadAll(c); string(got) != "east" {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
	stop()
	if _, err := n.Dial(t.Context(), "west", netip.AddrPortFrom(external, 15443)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a published address whose pod is gone: want refused, got %v", err)
	}
}

func TestDialCancel(t *testing.T) {
	n := &vnet.Net{ConnectTimeout: time.Hour}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	if _, err := n.Dial(ctx, "west", pod); !errors.Is(err, context.Canceled) {
		t.Errorf("want context.Canceled, got %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := n.Dial(ctx, "west", pod)
	if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() {
		t.Errorf("want a network timeout at the context's deadline, got %v", err)
	}
}

func TestListenErrors(t *testing.T) {
	n := &vnet.Net{}
	if _, err := n.Listen(t.Context(), "east", pod); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("listening on an address nobody has: %v", err)
	}
	serve(t, n, "east", pod, "")
	if _, err := n.Listen(t.Context(), "east", pod); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listening twice: %v", err)
	}
}
