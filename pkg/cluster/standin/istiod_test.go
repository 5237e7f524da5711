// SPDX-License-Identifier: Apache-2.0

package standin_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	securityv1alpha1 "istio.io/api/security/v1alpha1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/citadel"
	"github.com/meshprobe/meshprobe/pkg/cluster/istioca"
)

// istiod certifies whoever brings the token as the ratings of the shop.
type istiod struct {
	securityv1alpha1.UnimplementedIstioCertificateServiceServer
	addr string

	mu     sync.Mutex
	ca     *citadel.CA // nil: it is down
	served *tls.Certificate
	asked  string // cluster ID of the last request
}

const (
	ratings = "spiffe://cluster.local/ns/shop/sa/ratings"
	reviews = "spiffe://cluster.local/ns/shop/sa/reviews"
)

func newCA(t *testing.T) *citadel.CA {
	t.Helper()
	data, err := citadel.SelfSigned("cluster.local", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ca, err := citadel.FromSecret(data, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func startIstiod(t *testing.T) *istiod {
	t.Helper()
	s := &istiod{}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.served == nil {
				return nil, errors.New("istiod is down")
			}
			return s.served, nil
		},
	})))
	securityv1alpha1.RegisterIstioCertificateServiceServer(server, s)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	var running sync.WaitGroup
	running.Go(func() {
		if err := server.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	t.Cleanup(func() { server.Stop(); running.Wait() })
	return s
}

// use makes istiod sign with a CA, as it does when it starts.
func (s *istiod) use(t *testing.T, ca *citadel.CA) {
	t.Helper()
	served, err := ca.ServerCertificate([]string{istioca.DefaultServerName}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ca, s.served = ca, served
}

func (s *istiod) dial(ctx context.Context, addr string) (net.Conn, error) {
	if addr != istioca.DefaultAddress {
		return nil, errors.New("dialed " + addr)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", s.addr)
}

// CreateCertificate signs for the one token that there is.
func (s *istiod) CreateCertificate(ctx context.Context, req *securityv1alpha1.IstioCertificateRequest) (*securityv1alpha1.IstioCertificateResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if auth := md.Get("authorization"); len(auth) != 1 || auth[0] != "Bearer of-ratings" {
		return nil, status.Error(codes.Unauthenticated, "request authenticate failure")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if id := md.Get("clusterid"); len(id) == 1 {
		s.asked = id[0]
	}
	chain, err := s.ca.Sign([]byte(req.GetCsr()), []string{ratings}, time.Hour, time.Now())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &securityv1alpha1.IstioCertificateResponse{CertChain: chain}, nil
}

// issue makes an identity of a CA without asking istiod.
func issue(t *testing.T, ca *citadel.CA, id string) *cluster.Identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(id)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{u}}, key)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := ca.Sign(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}), []string{id}, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := citadel.ParseCertificates([]byte(chain[0]))
	if err != nil {
		t.Fatal(err)
	}
	roots, err := citadel.ParseCertificates(ca.RootPEM())
	if err != nil {
		t.Fatal(err)
	}
	return cluster.NewIdentity(id, leaf, roots, key)
}

// replace writes a file as the kubelet does: at once.
func replace(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path+".new", data, 0o600), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}
