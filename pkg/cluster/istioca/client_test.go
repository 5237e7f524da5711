// SPDX-License-Identifier: Apache-2.0

package istioca_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	securityv1alpha1 "istio.io/api/security/v1alpha1"

	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/citadel"
	"github.com/meshprobe/meshprobe/pkg/cluster/istioca"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const id = "spiffe://cluster.local/ns/shop/sa/reviews"

// fakeCA is an istiod whose answer a test may spoil.
type fakeCA struct {
	securityv1alpha1.UnimplementedIstioCertificateServiceServer
	ca    *citadel.CA
	spoil func([]string) []string

	clusterID    []string
	impersonated string
}

func (f *fakeCA) CreateCertificate(ctx context.Context, req *securityv1alpha1.IstioCertificateRequest) (*securityv1alpha1.IstioCertificateResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if auth := md.Get("authorization"); len(auth) != 1 || auth[0] != "Bearer good" {
		return nil, status.Error(codes.Unauthenticated, "request authenticate failure")
	}
	f.clusterID = md.Get("clusterid")
	f.impersonated = req.GetMetadata().GetFields()["ImpersonatedIdentity"].GetStringValue()
	chain, err := f.ca.Sign([]byte(req.GetCsr()), []string{id}, time.Duration(req.GetValidityDuration())*time.Second, time.Now())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if f.spoil != nil {
		chain = f.spoil(chain)
	}
	return &securityv1alpha1.IstioCertificateResponse{CertChain: chain}, nil
}

func start(t *testing.T) (*fakeCA, *istioca.Client) {
	t.Helper()
	data, err := citadel.SelfSigned("cluster.local", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ca, err := citadel.FromSecret(data, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.ServerCertificate([]string{istioca.DefaultServerName}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeCA{ca: ca}
	s := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12})))
	securityv1alpha1.RegisterIstioCertificateServiceServer(s, f)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-done; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	return f, &istioca.Client{
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			if addr != istioca.DefaultAddress {
				return nil, fmt.Errorf("dialed %q", addr)
			}
			var d net.Dialer
			return d.DialContext(ctx, "tcp", ln.Addr().String())
		},
		Roots: ca.Roots(),
		Token: func(context.Context) (string, error) { return "good", nil },
	}
}

func TestCreate(t *testing.T) {
	f, c := start(t)
	c.ClusterID, c.Impersonate = "east", true
	got, err := c.Create(t.Context(), id, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{id, id, "east"}, []string{got.ID, f.impersonated, strings.Join(f.clusterID, ",")}); diff != "" {
		t.Error(diff)
	}
	if len(got.Certificates) != 1 || len(got.Roots) != 1 {
		t.Fatalf("%d certificates, %d roots", len(got.Certificates), len(got.Roots))
	}
	leaf := got.Certificates[0]
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: c.Roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		t.Error(err)
	}
	if life := leaf.NotAfter.Sub(leaf.NotBefore); life != time.Hour+2*time.Minute {
		t.Errorf("lifetime %s", life)
	}
	if s := fmt.Sprintf("%v %+v %#v", got, got, got); strings.Contains(s, "PRIVATE") || len(s) > 4*len(id) {
		t.Errorf("printing an identity says %q", s)
	}
}

func TestCreateErrors(t *testing.T) {
	type seen struct {
		Phase istioca.Phase
		Code  codes.Code
	}
	for name, tc := range map[string]struct {
		change func(*fakeCA, *istioca.Client)
		ttl    time.Duration
		want   seen
	}{
		"token-refused": {change: func(_ *fakeCA, c *istioca.Client) {
			c.Token = func(context.Context) (string, error) { return "bad", nil }
		}, want: seen{istioca.PhaseCall, codes.Unauthenticated}},
		"lifetime-refused": {ttl: 91 * 24 * time.Hour, want: seen{istioca.PhaseCall, codes.InvalidArgument}},
		"no-token": {change: func(_ *fakeCA, c *istioca.Client) {
			c.Token = func(context.Context) (string, error) { return "", errors.New("no") }
		}, want: seen{istioca.PhaseToken, 0}},
		"untrusted":  {change: func(_ *fakeCA, c *istioca.Client) { c.Roots = x509.NewCertPool() }, want: seen{istioca.PhaseHandshake, 0}},
		"other-name": {change: func(_ *fakeCA, c *istioca.Client) { c.ServerName = "istiod-canary.istio-system.svc" }, want: seen{istioca.PhaseHandshake, 0}},
		"refused": {change: func(_ *fakeCA, c *istioca.Client) {
			c.Dial = func(context.Context, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
		}, want: seen{istioca.PhaseDial, 0}},
		"empty-chain": {change: func(f *fakeCA, _ *istioca.Client) { f.spoil = func([]string) []string { return nil } }, want: seen{istioca.PhaseResponse, 0}},
		"leaf-only":   {change: func(f *fakeCA, _ *istioca.Client) { f.spoil = func(c []string) []string { return c[:1] } }, want: seen{istioca.PhaseResponse, 0}},
		"not-pem":     {change: func(f *fakeCA, _ *istioca.Client) { f.spoil = func(c []string) []string { return []string{"x", c[1]} } }, want: seen{istioca.PhaseResponse, 0}},
		"another-key": {change: func(f *fakeCA, _ *istioca.Client) {
			f.spoil = func(c []string) []string { return []string{c[1], c[1]} }
		}, want: seen{istioca.PhaseResponse, 0}},
		"endless-bundle": {change: func(f *fakeCA, _ *istioca.Client) {
			f.spoil = func(c []string) []string { return []string{c[0], strings.Repeat(c[1], 65)} }
		}, want: seen{istioca.PhaseResponse, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			f, c := start(t)
			if tc.change != nil {
				tc.change(f, c)
			}
			_, err := c.Create(t.Context(), id, tc.ttl)
			e, ok := errors.AsType[*istioca.Error](err)
			if !ok {
				t.Fatalf("want an *Error, got %v", err)
			}
			want := tc.want
			if want.Phase != istioca.PhaseCall {
				want.Code = codes.OK
			}
			if diff := cmp.Diff(want, seen{e.Phase, e.Code}); diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if strings.Contains(err.Error(), "good") {
				t.Errorf("the error shows the token: %v", err)
			}
		})
	}
}

func TestCreateEndsWithContext(t *testing.T) {
	_, c := start(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0") // accepts and stays silent
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c.Dial = func(ctx context.Context, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", ln.Addr().String())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Create(ctx, id, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("want the deadline, got %v", err)
	}
}

func TestObserve(t *testing.T) {
	_, c := start(t)
	c.Roots = nil // it trusts nothing
	chain, err := c.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(chain) != 1 || chain[0].VerifyHostname(istioca.DefaultServerName) != nil || chain[0].Issuer.String() != "O=cluster.local" {
		t.Errorf("observed %d certificates, first %v", len(chain), chain[0].Issuer)
	}
}
