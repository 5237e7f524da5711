// SPDX-License-Identifier: Apache-2.0

package clustertest

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// silence is long enough to tell that nothing answers.
const silence = 250 * time.Millisecond

// server is a workload of c that has a service and a data plane.
func server(t *testing.T, c cluster.Cluster) cluster.Workload {
	t.Helper()
	for _, w := range workloads(t, c) {
		if w.Service != nil && w.DataPlane == cluster.Sidecar {
			return w
		}
	}
	t.Fatalf("%s has no server", c.Name())
	return cluster.Workload{}
}

func address(w cluster.Workload) string {
	return net.JoinHostPort(w.Service.Host, strconv.Itoa(int(w.Service.Port)))
}

func testDial(t *testing.T, set *cluster.Set) {
	for _, c := range set.Clusters {
		t.Run(c.Name(), func(t *testing.T) {
			testReachable(t, c)
			testUnreachable(t, c)
		})
	}
	for pair := range set.Directions() {
		t.Run(pair.A.Name()+"-to-"+pair.B.Name(), func(t *testing.T) { testForeignPod(t, pair.A, pair.B) })
	}
}

// testReachable dials services by every name that a pod may use, and pods.
func testReachable(t *testing.T, c cluster.Cluster) {
	for _, w := range workloads(t, c) {
		if w.Service == nil {
			continue
		}
		port := strconv.Itoa(int(w.Service.Port))
		qualified := w.Service.Name + "." + w.Namespace
		for _, host := range []string{w.Service.Name, qualified, qualified + ".svc", w.Service.Host, w.Address.String()} {
			conn, err := c.Dial(t.Context(), w, net.JoinHostPort(host, port))
			if err != nil {
				t.Errorf("%s does not reach %s:%s: %v", w.Ref, host, port, err)
				continue
			}
			_ = conn.Close()
		}
		conn, err := c.Dial(t.Context(), cluster.Workload{}, address(w))
		if err != nil {
			t.Errorf("any pod does not reach %s: %v", address(w), err)
			continue
		}
		_ = conn.Close()
	}
}

func testUnreachable(t *testing.T, c cluster.Cluster) {
	w := server(t, c)
	for name, addr := range map[string]string{
		"a port that the service does not have": net.JoinHostPort(w.Service.Host, "1"),
		"an address without a port":             w.Service.Host,
		"an address with an impossible port":    net.JoinHostPort(w.Service.Host, "65536"),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), silence)
		conn, err := c.Dial(ctx, w, addr)
		cancel()
		if err == nil {
			_ = conn.Close()
			t.Errorf("%s can be dialed: %s", name, addr)
		}
	}
	_, err := c.Dial(t.Context(), w, "no-such-service."+w.Namespace+".svc.cluster.local:80")
	if dns, ok := errors.AsType[*net.DNSError](err); !ok || !dns.IsNotFound {
		t.Errorf("a host that does not exist: want a *net.DNSError that says not found, got %v", err)
	}
}

// neighbour is a workload of c in the range of an address: where networks use the
// same addresses, as real ones may, one of another network means a pod of c.
func neighbour(t *testing.T, c cluster.Cluster, addr netip.Addr) string {
	t.Helper()
	for _, w := range workloads(t, c) {
		if p, err := w.Address.Prefix(24); err == nil && p.Contains(addr) {
			return w.String()
		}
	}
	return ""
}

// testForeignPod dials a pod of another network: it must time out, and end at
// once when the caller gives up.
func testForeignPod(t *testing.T, from, to cluster.Cluster) {
	if from.Network() == to.Network() {
		return
	}
	w := server(t, to)
	if here := neighbour(t, from, w.Address); here != "" {
		t.Skipf("networks overlap: in %s, %s is a neighbour of %s", from.Name(), w.Address, here)
	}
	addr := net.JoinHostPort(w.Address.String(), strconv.Itoa(int(w.Service.Port)))
	ctx, cancel := context.WithTimeout(t.Context(), silence)
	defer cancel()
	conn, err := from.Dial(ctx, server(t, from), addr)
	if err == nil {
		_ = conn.Close()
		t.Fatalf("a pod of another network is reachable at %s", addr)
	}
	if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() {
		t.Errorf("a pod of another network: want a timeout, got %v", err)
	}

	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	begin := time.Now()
	conn, err = from.Dial(ctx, cluster.Workload{}, addr)
	if err == nil {
		_ = conn.Close()
		t.Fatal("a cancelled dial succeeds")
	}
	if !errors.Is(err, context.Canceled) || time.Since(begin) > 5*time.Second {
		t.Errorf("a cancelled dial ends after %s with %v", time.Since(begin), err)
	}
}
