// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

func newSidecar(t testing.TB, a *ca, mode cluster.MTLSMode, protocol string) *Sidecar {
	t.Helper()
	return &Sidecar{
		Identity:     fixed(a.svid(t, spiffe(ownDomain, "ratings"))),
		TrustDomains: fixed([]string{ownDomain, alias}),
		Mode:         fixed(mode),
		Protocol:     protocol,
		App:          EchoApp,
		SendRoot:     true,
	}
}

// TestSidecarChains is the table of Istio's inbound filter chains, both ways:
// what becomes of the connection, and which protocol the chain negotiates.
func TestSidecarChains(t *testing.T) {
	const plain, mtls, app, eof, reset = "plain", "mtls:", "app", "eof", "reset"
	strict, permissive, disable := cluster.Strict, cluster.Permissive, cluster.Disable
	a := newCA(t)
	client := a.svid(t, spiffe(ownDomain, "reviews"))
	for _, tc := range []struct {
		mode     cluster.MTLSMode
		protocol string
		client   string // plain, or the protocols offered
		want     string
	}{
		{permissive, "auto", "istio-http/1.1 h2 http/1.1", mtls + "h2"},
		{permissive, "auto", "istio-http/1.0 istio http/1.1", mtls + "http/1.1"},
		{permissive, "auto", "istio-peer-exchange istio", mtls + "istio-peer-exchange"},
		{permissive, "auto", "istio", mtls},
		{permissive, "auto", "h2 http/1.1", app},
		{permissive, "auto", "", app},
		{permissive, "auto", plain, app},
		{permissive, "tcp", "istio", mtls},
		{permissive, "tcp", "istio-h2 h2", mtls + "h2"},
		{permissive, "tcp", "h2", app},
		{permissive, "tcp", "", app},
		{permissive, "tcp", plain, app},
		{permissive, "http", "istio", mtls},
		{permissive, "http", "istio-peer-exchange istio h2", mtls + "h2"},
		{permissive, "http", "h2 http/1.1", eof},
		{permissive, "http", "", eof},
		{permissive, "http", plain, app},
		{strict, "auto", "istio-http/1.1 istio-peer-exchange", mtls},
		{strict, "auto", "istio-peer-exchange", mtls + "istio-peer-exchange"},
		{strict, "auto", "", mtls},
		{strict, "http", "istio", mtls},
		{strict, "http", "h2", mtls + "h2"},
		{strict, "http", "foreign", mtls},
		{strict, "tcp", "", mtls},
		{strict, "tcp", "http/1.1", mtls + "http/1.1"},
		{strict, "auto", plain, reset},
		{strict, "http", plain, reset},
		{strict, "tcp", plain, reset},
		{disable, "http", "istio", app},
		{disable, "auto", "", app},
		{disable, "tcp", plain, app},
	} {
		name := strings.Join([]string{string(tc.mode), tc.protocol, tc.client}, "/")
		t.Run(name, func(t *testing.T) {
			addr := start(t, newSidecar(t, a, tc.mode, tc.protocol).Serve)
			c := dial(t, addr)
			var got string
			switch {
			case tc.client == plain:
				got = rawOutcome(c, []byte("GET / HTTP/1.1\r\n\r\n"))
			case !strings.HasPrefix(tc.want, mtls):
				got = rawOutcome(c, helloBytes(t, "", strings.Fields(tc.client)...))
			default:
				var state tls.ConnectionState
				got = verdict(c, clientTLS(client, strings.Fields(tc.client)...), func(c *tls.Conn) error {
					state = c.ConnectionState()
					return echoProof(c)
				})
				if got == "accepted" {
					got = mtls + state.NegotiatedProtocol
				}
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func rawOutcome(c net.Conn, sent []byte) string {
	if _, err := c.Write(sent); err != nil {
		return err.Error()
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(c, first); err != nil {
		return ending(&failedReader{err})
	}
	got := make([]byte, len(sent)-1)
	if _, err := io.ReadFull(c, got); err != nil || !slices.Equal(append(first, got...), sent) {
		return "bytes of somebody else"
	}
	return "app"
}

func TestSidecarServerSpeaksFirst(t *testing.T) {
	greet := func(_ context.Context, c net.Conn) { _, _ = io.WriteString(c, "220 ready") }
	for mode, want := range map[cluster.MTLSMode]string{
		cluster.Disable: "bytes", cluster.Permissive: "bytes", cluster.Strict: "reset",
	} {
		t.Run(string(mode), func(t *testing.T) {
			s := newSidecar(t, newCA(t), mode, "tcp")
			s.App, s.Limits.Handshake = greet, 20*time.Millisecond
			if got := ending(dial(t, start(t, s.Serve))); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestSidecarPresentsChainAndAsksForIt(t *testing.T) {
	a := newCA(t)
	client := a.svid(t, spiffe(ownDomain, "reviews"))
	for _, sendRoot := range []bool{true, false} {
		s := newSidecar(t, a, cluster.Strict, "http")
		s.SendRoot = sendRoot
		want := slices.Clone(s.Identity().Certificates)
		if sendRoot {
			want = append(want, a.root)
		}
		var chain []*x509.Certificate
		var asked [][]byte
		cfg := clientTLS(client, "istio")
		answer := cfg.GetClientCertificate
		cfg.GetClientCertificate = func(i *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = i.AcceptableCAs
			return answer(i)
		}
		got := verdict(dial(t, start(t, s.Serve)), cfg, func(c *tls.Conn) error {
			chain = c.ConnectionState().PeerCertificates
			return echoProof(c)
		})
		if got != "accepted" {
			t.Fatal(got)
		}
		if diff := cmp.Diff(want, chain); diff != "" {
			t.Errorf("chain with SendRoot %v (-want +got):\n%s", sendRoot, diff)
		}
		if diff := cmp.Diff([][]byte{a.root.RawSubject}, asked); diff != "" {
			t.Errorf("names in the CertificateRequest (-want +got):\n%s", diff)
		}
	}
}

func TestSidecarUsesTheIdentityOfTheMoment(t *testing.T) {
	before, after := newCA(t), newCA(t)
	var current atomic.Pointer[cluster.Identity]
	current.Store(before.svid(t, spiffe(ownDomain, "ratings")))
	s := newSidecar(t, before, cluster.Strict, "tcp")
	s.Identity = current.Load
	addr := start(t, s.Serve)
	client := before.svid(t, spiffe(ownDomain, "reviews"))
	if got := verdict(dial(t, addr), clientTLS(client), echoProof); got != "accepted" {
		t.Errorf("before the rotation: %s", got)
	}
	current.Store(after.svid(t, spiffe(ownDomain, "ratings")))
	if got := verdict(dial(t, addr), clientTLS(client), echoProof); got != "unknown_ca" {
		t.Errorf("after the rotation: %s", got)
	}
	current.Store(nil)
	c := dial(t, addr)
	_, _ = c.Write(helloBytes(t, ""))
	if got := ending(c); got != "reset" {
		t.Errorf("without an identity: %s", got)
	}
}

func TestSidecarConnectionLimit(t *testing.T) {
	s := newSidecar(t, newCA(t), cluster.Disable, "tcp")
	s.Limits.Connections = 1
	addr := start(t, s.Serve)
	first := dial(t, addr)
	if err := echoed(first, []byte("in")); err != nil {
		t.Fatal(err)
	}
	if got := turnedAway(t, addr); got != "reset" {
		t.Errorf("second connection: %s", got)
	}
	if err := echoed(first, []byte("still in")); err != nil {
		t.Error(err)
	}
}

func TestSidecarStalledHandshakeEnds(t *testing.T) {
	s := newSidecar(t, newCA(t), cluster.Strict, "tcp")
	s.Limits.Handshake = 50 * time.Millisecond
	addr := start(t, s.Serve)
	hello := helloBytes(t, "")
	for name, sent := range map[string][]byte{"half-a-hello": hello[:len(hello)/2], "hello-and-silence": hello} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, addr)
			_, _ = c.Write(sent)
			if _, err := io.Copy(io.Discard, c); err != nil && ending(&failedReader{err}) != "reset" {
				t.Errorf("the connection stayed open: %v", err)
			}
		})
	}
}

func BenchmarkSidecarHandshake(b *testing.B) {
	a := newCA(b)
	s := newSidecar(b, a, cluster.Strict, "http")
	s.App = HTTPApp("ratings")
	addr := start(b, s.Serve)
	cfg := clientTLS(a.svid(b, spiffe(ownDomain, "reviews")), "istio")
	for b.Loop() {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		got := verdict(c, cfg, func(c *tls.Conn) error {
			_ = c.CloseWrite()
			_, err := io.Copy(io.Discard, c)
			return err
		})
		if got != "accepted" {
			b.Fatal(got)
		}
		_ = c.Close()
	}
}
