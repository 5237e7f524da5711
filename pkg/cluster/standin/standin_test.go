// SPDX-License-Identifier: Apache-2.0

package standin_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/citadel"
	"github.com/meshprobe/meshprobe/pkg/cluster/standin"
	"github.com/meshprobe/meshprobe/pkg/hbone"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what takes milliseconds on an idle machine.
const patience = time.Minute

// pod is a pod that runs, and what it knows its cluster by.
type pod struct {
	hbone, plain string // where it answers on this machine
	root, token  string // its files
	control      *istiod
	ca           *citadel.CA
}

// start runs a pod at 10.0.0.7 until the test ends, with an istiod that is up.
func start(t *testing.T, mode cluster.MTLSMode) *pod {
	t.Helper()
	p := prepare(t)
	p.ca = newCA(t)
	p.control.use(t, p.ca)
	replace(t, p.root, p.ca.RootPEM())
	p.run(t, mode)
	return p
}

func prepare(t *testing.T) *pod {
	t.Helper()
	dir := t.TempDir()
	p := &pod{root: filepath.Join(dir, "root-cert.pem"), token: filepath.Join(dir, "istio-token"), control: startIstiod(t)}
	replace(t, p.token, []byte("of-ratings\n"))
	return p
}

func (p *pod) run(t *testing.T, mode cluster.MTLSMode) {
	t.Helper()
	listeners := map[uint16]net.Listener{}
	for _, port := range []uint16{cluster.PortHBONE, 9080} {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		listeners[port] = l
	}
	p.hbone, p.plain = listeners[cluster.PortHBONE].Addr().String(), listeners[9080].Addr().String()
	served := &standin.Pod{
		Workload: cluster.Workload{
			Ref: cluster.Ref{Cluster: "east", Namespace: "shop", Name: "ratings-v1"}, ServiceAccount: "ratings",
			DataPlane: cluster.Ambient, MTLS: mode, Address: netip.MustParseAddr("10.0.0.7"),
			Service: &cluster.Service{Name: "ratings", Host: "ratings.shop.svc.cluster.local", Port: 9080, Protocol: "http"},
		},
		TrustDomain: "cluster.local", TokenFile: p.token, RootFile: p.root,
		Dial: p.control.dial, Look: 10 * time.Millisecond,
		Listen: func(_ context.Context, port uint16) (net.Listener, error) {
			if l := listeners[port]; l != nil {
				return l, nil
			}
			return nil, errors.New("it has no such port")
		},
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := served.Serve(ctx); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
}

// client is a ztunnel with an identity, or without one, that verifies the pod
// against the roots of a CA. It keeps the certificate that it was shown.
func client(t *testing.T, id *cluster.Identity, ca *citadel.CA) (*hbone.Dialer, func() *x509.Certificate) {
	t.Helper()
	var mu sync.Mutex
	var shown *x509.Certificate
	var own func() (*tls.Certificate, error)
	if id != nil {
		own = func() (*tls.Certificate, error) { return id.TLS(), nil }
	}
	d := &hbone.Dialer{Timeout: patience, TLS: hbone.ClientTLS(own, func(cs tls.ConnectionState) error {
		mu.Lock()
		defer mu.Unlock()
		shown = cs.PeerCertificates[0]
		_, err := shown.Verify(x509.VerifyOptions{Roots: ca.Roots(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		return err
	})}
	t.Cleanup(func() { _ = d.Close() })
	return d, func() *x509.Certificate { mu.Lock(); defer mu.Unlock(); return shown }
}

// get asks the application at the other end of a stream who it is.
func get(t *testing.T, c net.Conn) string {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: ratings\r\nConnection: close\r\n\r\n"); err != nil {
		return "nothing: " + err.Error()
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return "nothing: " + err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(body))
}

// TestAuthorities answers for the pod and for its service, and for nobody else.
func TestAuthorities(t *testing.T) {
	p := start(t, cluster.Strict)
	d, shown := client(t, issue(t, p.ca, reviews), p.ca)
	for authority, want := range map[string]int{
		"10.0.0.7:9080":                       http.StatusOK,
		"ratings.shop.svc.cluster.local:9080": http.StatusOK,
		"Ratings.shop.svc.cluster.local:9080": http.StatusOK,
		"10.0.0.8:9080":                       http.StatusBadRequest,
		"10.0.0.7:9081":                       http.StatusServiceUnavailable,
		"10.0.0.7:15008":                      http.StatusServiceUnavailable,
		"reviews.shop.svc.cluster.local:9080": http.StatusServiceUnavailable,
		"ratings.shop.svc.cluster.local:80":   http.StatusServiceUnavailable,
		"no authority":                        http.StatusBadRequest,
	} {
		t.Run(authority, func(t *testing.T) {
			c, err := d.DialContext(t.Context(), p.hbone, authority)
			if want != http.StatusOK {
				e, ok := errors.AsType[*hbone.Error](err)
				if !ok || e.Status != want {
					t.Errorf("%v, want status %d", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, header := c.Response(); !strings.Contains(header.Get("Baggage"), "k8s.cluster.name=east") {
				t.Errorf("baggage %q", header.Get("Baggage"))
			}
			if got := get(t, c); got != "east/shop/ratings-v1" {
				t.Errorf("the application says %q", got)
			}
		})
	}
	if leaf := shown(); leaf == nil || len(leaf.URIs) != 1 || leaf.URIs[0].String() != ratings {
		t.Errorf("the pod shows %v", leaf)
	}
	p.control.mu.Lock()
	defer p.control.mu.Unlock()
	if p.control.asked != "east" {
		t.Errorf("istiod was asked for cluster %q", p.control.asked)
	}
}

// TestClients admits those of its own trust domain under its own root only.
func TestClients(t *testing.T) {
	p := start(t, cluster.Strict)
	for name, tc := range map[string]struct {
		id   *cluster.Identity
		want string // alert, "" is let in
	}{
		"own":                  {issue(t, p.ca, reviews), ""},
		"no certificate":       {nil, "certificate_required"},
		"foreign root":         {issue(t, newCA(t), reviews), "unknown_ca"},
		"foreign trust domain": {issue(t, p.ca, "spiffe://elsewhere.example/ns/shop/sa/reviews"), "bad_certificate"},
		"no SPIFFE ID":         {issue(t, p.ca, "https://example.com/reviews"), "bad_certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := client(t, tc.id, p.ca)
			c, err := d.DialContext(t.Context(), p.hbone, "10.0.0.7:9080")
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				_ = c.Close()
				return
			}
			alert, ok := hbone.RemoteAlert(err)
			if got := hbone.AlertName(alert); !ok || got != tc.want {
				t.Errorf("%v (alert %q), want %s", err, got, tc.want)
			}
		})
	}
}

// TestReload takes a new root while it serves: the certificate, and whom the pod
// admits.
func TestReload(t *testing.T) {
	p := start(t, cluster.Strict)
	before, shown := client(t, issue(t, p.ca, reviews), p.ca)
	s, err := before.Connect(t.Context(), p.hbone)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	first := shown().SerialNumber

	next := newCA(t)
	p.control.use(t, next)
	replace(t, p.root, next.RootPEM())
	after, shown := client(t, issue(t, next, reviews), next)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		s, err := after.Connect(ctx, p.hbone)
		if err == nil {
			_ = s.Close()
			break
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("the pod has no certificate of the new root: %v", err)
		}
	}
	if got := shown(); got.SerialNumber.Cmp(first) == 0 || got.URIs[0].String() != ratings {
		t.Errorf("the pod shows %v", got.URIs)
	}
	// Who has a certificate of the old root only is refused, by the pod.
	mixed, _ := client(t, issue(t, p.ca, reviews), next)
	if _, err := mixed.DialContext(t.Context(), p.hbone, "10.0.0.7:9080"); err == nil {
		t.Error("a client of the old root is admitted")
	} else if _, ok := hbone.RemoteAlert(err); !ok {
		t.Errorf("a client of the old root: %v, want an alert", err)
	}
	// A connection of before goes on.
	c, err := s.Open(t.Context(), "10.0.0.7:9080", nil)
	if err != nil {
		t.Fatalf("a connection from before is lost: %v", err)
	}
	defer c.Close()
	if got := get(t, c); got != "east/shop/ratings-v1" {
		t.Errorf("the application says %q", got)
	}
}

// TestLateIstiod waits for files and for istiod, and for the token to be good.
func TestLateIstiod(t *testing.T) {
	p := prepare(t)
	replace(t, p.token, []byte("of-nobody"))
	p.run(t, cluster.Strict)
	ca := newCA(t)
	d, _ := client(t, issue(t, ca, reviews), ca)
	replace(t, p.root, []byte("no certificate"))
	replace(t, p.root, ca.RootPEM())
	p.control.use(t, ca)
	replace(t, p.token, []byte("of-ratings"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// The port is open, so this waits until somebody serves it.
	c, err := d.DialContext(ctx, p.hbone, "10.0.0.7:9080")
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

// TestPlaintext goes by the mTLS mode.
func TestPlaintext(t *testing.T) {
	for mode, want := range map[cluster.MTLSMode]string{
		cluster.Strict:     "nothing",
		cluster.Permissive: "east/shop/ratings-v1",
	} {
		t.Run(string(mode), func(t *testing.T) {
			p := start(t, mode)
			c, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.plain)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if got := get(t, c); !strings.HasPrefix(got, want) {
				t.Errorf("plaintext gets %q, want %q", got, want)
			}
		})
	}
}

// TestServeFails where a port cannot be had, and ends with the context before
// there is a certificate.
func TestServeFails(t *testing.T) {
	p := prepare(t)
	ca := newCA(t)
	p.control.use(t, ca)
	replace(t, p.root, ca.RootPEM())
	served := &standin.Pod{
		Workload:    cluster.Workload{Ref: cluster.Ref{Cluster: "east", Namespace: "shop", Name: "ratings"}, ServiceAccount: "ratings"},
		TrustDomain: "cluster.local", TokenFile: p.token, RootFile: p.root, Dial: p.control.dial,
		Listen: func(context.Context, uint16) (net.Listener, error) { return nil, errors.New("in use") },
	}
	if err := served.Serve(t.Context()); err == nil || !strings.Contains(err.Error(), "standin: in use") {
		t.Errorf("a port that cannot be had: %v", err)
	}
	served.RootFile = p.root + ".absent"
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := served.Serve(ctx); err != nil {
		t.Errorf("an end before there is a certificate: %v", err)
	}
}
