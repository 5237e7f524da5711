// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/hbone"
)

func to(addr string) Dial {
	return func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", addr) }
}

// closedPort is an address on which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

func TestPassthrough(t *testing.T) {
	a := newCA(t)
	s := newSidecar(t, a, cluster.Strict, "tcp")
	ratings, dead := cluster.SNI("ratings.shop.svc.cluster.local", 9080), cluster.SNI("dead.shop.svc.cluster.local", 9080)
	routes := map[string]Dial{ratings: to(start(t, s.Serve)), dead: to(closedPort(t))}
	g := &Passthrough{Route: func(sni string) (Dial, bool) { d, ok := routes[sni]; return d, ok }}
	addr := start(t, g.Serve)
	client := a.svid(t, spiffe(ownDomain, "reviews"))

	// The positive control: the workload's own certificate, not the gateway's.
	cfg := clientTLS(client, "istio")
	cfg.ServerName = strings.ToUpper(ratings)
	got := verdict(dial(t, addr), cfg, func(c *tls.Conn) error {
		if !c.ConnectionState().PeerCertificates[0].Equal(s.Identity().Certificates[0]) {
			return errors.New("not the workload's certificate")
		}
		if err := echoed(c, make([]byte, 200<<10)); err != nil {
			return err
		}
		if err := c.CloseWrite(); err != nil {
			return err
		}
		_, err := io.ReadAll(c)
		return err
	})
	if got != "accepted" {
		t.Errorf("known SNI: %s", got)
	}
	// A refusal by the workload arrives as the alert that it sent.
	foreign := clientTLS(newCA(t).svid(t, spiffe(ownDomain, "reviews")), "istio")
	foreign.ServerName = ratings
	if got := verdict(dial(t, addr), foreign, echoProof); got != "unknown_ca" {
		t.Errorf("foreign root: %s", got)
	}

	for _, m := range []string{"istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"} {
		c := dial(t, addr)
		_, _ = c.Write(helloBytes(t, ratings, "h2", m))
		if got := ending(c); got != "bytes" {
			t.Errorf("marker %s: %s", m, got)
		}
	}
	for name, sent := range map[string][]byte{
		"unknown-sni":   helloBytes(t, cluster.SNI("other.shop.svc.cluster.local", 9080), "istio"),
		"no-sni":        helloBytes(t, "", "istio"),
		"no-marker":     helloBytes(t, ratings, "h2", "http/1.1"),
		"no-alpn":       helloBytes(t, ratings),
		"dead-upstream": helloBytes(t, dead, "istio"),
		"plaintext":     []byte("GET / HTTP/1.1\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, addr)
			_, _ = c.Write(sent)
			if got := ending(c); got != "reset" {
				t.Errorf("got %s, want the connection reset without a byte", got)
			}
		})
	}
}

func TestEastWestDoubleHBONE(t *testing.T) {
	a := newCA(t)
	z := newZtunnel(t, a)
	host := "ratings.shop.svc.cluster.local"
	routes := map[string]Dial{host + ":80": to(start(t, z.ServeHBONE)), "dead.shop.svc.cluster.local:80": to(closedPort(t))}
	g := &EastWest{
		Identity:     fixed(a.svid(t, spiffe(ownDomain, "gateway"))),
		TrustDomains: fixed([]string{ownDomain}),
		Route: func(authority string) (Dial, int) {
			if authority == "forbidden.shop.svc.cluster.local:80" {
				return nil, 403
			}
			return routes[authority], 0
		},
	}
	addr := start(t, g.Serve)
	client := a.svid(t, spiffe(ownDomain, "reviews"))
	d := &hbone.Dialer{TLS: hboneTLS(client)}
	defer func() { _ = d.Close() }()

	outer, err := d.DialContext(t.Context(), addr, host+":80")
	if err != nil {
		t.Fatal(err)
	}
	if got := outer.Session().Settings().MaxConcurrentStreams; got != 100 {
		t.Errorf("the gateway allows %d streams, want 100", got)
	}
	if !outer.ConnectionState().PeerCertificates[0].Equal(g.Identity().Certificates[0]) {
		t.Error("the outer certificate is not the gateway's")
	}
	inner, err := hbone.Nest(t.Context(), outer, hboneTLS(client), host+":80", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = inner.Close() }()
	if !inner.ConnectionState().PeerCertificates[0].Equal(z.Identity().Certificates[0]) {
		t.Error("the inner certificate is not the workload's")
	}
	if err := echoed(inner, make([]byte, 300<<10)); err != nil {
		t.Error(err)
	}

	for name, authority := range map[string]string{
		"503": "nobody.shop.svc.cluster.local:80", "403": "forbidden.shop.svc.cluster.local:80",
	} {
		if got := connect(t, addr, client, hpack.HeaderField{Name: ":method", Value: "CONNECT"}, hpack.HeaderField{Name: ":authority", Value: authority}); got != name {
			t.Errorf("%s: got %s, want %s", authority, got, name)
		}
	}
	_, err = d.DialContext(t.Context(), addr, "dead.shop.svc.cluster.local:80")
	if he, ok := errors.AsType[*hbone.Error](err); !ok || he.Status != 503 {
		t.Errorf("dead upstream: %v", err)
	}
}

// TestEastWestInnerAlert: what the destination says of the client in the inner
// layer passes through the gateway untouched.
func TestEastWestInnerAlert(t *testing.T) {
	a := newCA(t)
	host := "ratings.shop.svc.cluster.local:80"
	up := to(start(t, newZtunnel(t, a).ServeHBONE))
	g := &EastWest{
		Identity: fixed(a.svid(t, spiffe(ownDomain, "gateway"))), TrustDomains: fixed([]string{ownDomain, alias}),
		Route: func(string) (Dial, int) { return up, 0 },
	}
	client := hboneTLS(a.svid(t, spiffe(alias, "reviews")))
	d := &hbone.Dialer{TLS: client}
	defer func() { _ = d.Close() }()
	outer, err := d.DialContext(t.Context(), start(t, g.Serve), host)
	if err != nil {
		t.Fatal(err)
	}
	_, err = hbone.Nest(t.Context(), outer, client, host, nil)
	he, ok := errors.AsType[*hbone.Error](err)
	if alert, _ := hbone.RemoteAlert(err); !ok || he.Layer != hbone.LayerInner || hbone.AlertName(alert) != "bad_certificate" {
		t.Errorf("got %v", err)
	}
}

func TestEastWestAddressAsAuthority(t *testing.T) {
	a := newCA(t)
	g := &EastWest{Identity: fixed(a.svid(t, spiffe(ownDomain, "gateway"))), TrustDomains: fixed([]string{ownDomain})}
	d := &hbone.Dialer{TLS: hboneTLS(a.svid(t, spiffe(ownDomain, "reviews")))}
	defer func() { _ = d.Close() }()
	c, err := d.DialContext(t.Context(), start(t, g.Serve), "10.1.0.7:9080")
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	_, err = c.Read(make([]byte, 1))
	if re, ok := errors.AsType[*hbone.ResetError](err); !ok || !re.Remote || re.Code != http2.ErrCodeConnect {
		t.Errorf("got %v, want RST_STREAM CONNECT_ERROR", err)
	}
}
