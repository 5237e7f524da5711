// SPDX-License-Identifier: Apache-2.0

// Package istioca is a client of Istio's certificate signing API, as the
// istio-agent and ztunnel use it: a service account token and a CSR go to
// istiod:15012, an X.509 SVID with its trust anchors comes back. It works
// against an istiod, istio-csr and the embedded provider alike.
//
// A call owns its connection: it verifies istiod afresh each time, so that what
// it says about a CA is never an answer from before that CA changed. Private
// keys are made in memory and leave it only inside the returned Identity.
package istioca

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/structpb"
	securityv1alpha1 "istio.io/api/security/v1alpha1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Where an istiod of a default installation answers, and the audience that its
// tokens must have.
const (
	DefaultServerName = "istiod.istio-system.svc"
	DefaultAddress    = "istiod.istio-system.svc:15012"
	Audience          = "istio-ca"
)

// maxResponse bounds what a CA may answer.
const maxResponse = 256 << 10

// Client obtains SVIDs from one CA. Its fields must not change while it is in
// use; it is safe for concurrent use.
type Client struct {
	Dial       func(ctx context.Context, addr string) (net.Conn, error) // required
	Address    string                                                   // host:port for Dial; default DefaultAddress
	ServerName string                                                   // DNS SAN that istiod must have; default DefaultServerName
	Roots      *x509.CertPool                                           // required; istio-ca-root-cert
	Token      func(ctx context.Context) (string, error)                // required; audience istio-ca
	ClusterID  string                                                   // of the token's issuer; empty means istiod's own
	Now        func() time.Time                                         // default time.Now

	// Impersonate asks for the identity on behalf of a workload of the same
	// node, as ztunnel does (wire: metadata ImpersonatedIdentity).
	Impersonate bool
}

// Create makes an ECDSA P-256 key, asks the CA to certify it as the SPIFFE ID
// id for ttl (0: the CA's default), and returns what the CA answered. What the
// leaf says is for the caller to judge; Create checks only that it is about the
// key. Every error is an *Error.
func (c *Client) Create(ctx context.Context, id string, ttl time.Duration) (*cluster.Identity, error) {
	key, csr, err := newRequest(id)
	if err != nil {
		return nil, &Error{Phase: PhaseRequest, Err: err}
	}
	token, err := c.Token(ctx)
	if err != nil {
		return nil, &Error{Phase: PhaseToken, Err: err}
	}
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close() // nothing is buffered and the answer is judged by itself
	chain, err := c.call(ctx, conn, token, c.request(id, csr, ttl))
	if err != nil {
		return nil, err
	}
	certs, roots, err := parseResponse(chain)
	if err != nil {
		return nil, &Error{Phase: PhaseResponse, Err: err}
	}
	if !key.PublicKey.Equal(certs[0].PublicKey) {
		return nil, &Error{Phase: PhaseResponse, Err: errors.New("the leaf certifies another key than the request's")}
	}
	return cluster.NewIdentity(id, certs, roots, key), nil
}

func newRequest(id string) (*ecdsa.PrivateKey, []byte, error) {
	u, err := url.Parse(id)
	if err != nil {
		return nil, nil, fmt.Errorf("identity: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("generate key: %w", err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{u}}, key)
	if err != nil {
		return nil, nil, fmt.Errorf("make request: %w", err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

func (c *Client) request(id string, csr []byte, ttl time.Duration) *securityv1alpha1.IstioCertificateRequest {
	req := &securityv1alpha1.IstioCertificateRequest{Csr: string(csr), ValidityDuration: int64(ttl / time.Second)}
	if c.Impersonate {
		req.Metadata = &structpb.Struct{Fields: map[string]*structpb.Value{"ImpersonatedIdentity": structpb.NewStringValue(id)}}
	}
	return req
}

// connect dials and shakes hands outside gRPC, which would flatten the reason
// for a refused handshake into a string.
func (c *Client) connect(ctx context.Context) (net.Conn, error) {
	raw, err := c.Dial(ctx, cmp.Or(c.Address, DefaultAddress))
	if err != nil {
		return nil, &Error{Phase: PhaseDial, Err: err}
	}
	config := &tls.Config{
		ServerName: cmp.Or(c.ServerName, DefaultServerName),
		RootCAs:    c.Roots,
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2"},
		Time:       c.Now,
	}
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, &Error{Phase: PhaseHandshake, Err: err}
	}
	return conn, nil
}

func (c *Client) call(ctx context.Context, conn net.Conn, token string, req *securityv1alpha1.IstioCertificateRequest) ([]string, error) {
	used := make(chan struct{}, 1)
	cc, err := grpc.NewClient("passthrough:///"+cmp.Or(c.ServerName, DefaultServerName),
		grpc.WithTransportCredentials(insecure.NewCredentials()), // conn is already TLS
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			select {
			case used <- struct{}{}:
				return conn, nil
			default:
				return nil, net.ErrClosed // one call, one connection
			}
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxResponse)),
		grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(), grpc.WithNoProxy(),
	)
	if err != nil {
		return nil, &Error{Phase: PhaseCall, Err: err}
	}
	defer cc.Close() // the call has its answer
	md := metadata.Pairs("authorization", "Bearer "+token)
	if c.ClusterID != "" {
		md.Set("clusterid", c.ClusterID)
	}
	resp, err := securityv1alpha1.NewIstioCertificateServiceClient(cc).
		CreateCertificate(metadata.NewOutgoingContext(ctx, md), req)
	if err != nil {
		return nil, callError(err)
	}
	return resp.GetCertChain(), nil
}
