// SPDX-License-Identifier: Apache-2.0

package hbone_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"

	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
)

// roundTrip sends want, half-closes and reads until io.EOF.
func roundTrip(t *testing.T, c *hbone.Conn, want []byte) {
	t.Helper()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		if _, err := c.Write(want); err != nil {
			t.Errorf("write: %v", err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Errorf("close write: %v", err)
		}
	})
	got, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("read: %v", err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("got %d bytes back, want the %d that were sent", len(got), len(want))
	}
}

func TestDialContextCarriesBytesBothWays(t *testing.T) {
	m := newMesh(t)
	addr := serve(t, &hbone.Server{TLS: m.serverTLS(), Handler: echoHandler})
	d := m.dialer(t)
	c, err := d.DialContext(t.Context(), addr, "10.0.0.1:9080")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	roundTrip(t, c, bytes.Repeat([]byte("hbone"), 3<<20))
	cs := c.ConnectionState()
	if cs.Version != tls.VersionTLS13 || cs.NegotiatedProtocol != "h2" || cs.ServerName != "" {
		t.Errorf("TLS version %x, ALPN %q, SNI %q", cs.Version, cs.NegotiatedProtocol, cs.ServerName)
	}
	want := hbone.Settings{StreamWindow: 4 << 20, MaxFrameSize: 1 << 20, MaxHeaderListSize: 64 << 10, MaxConcurrentStreams: 200, HeaderTableSize: 4096}
	if diff := cmp.Diff(want, c.Session().Settings()); diff != "" {
		t.Errorf("peer's settings (-want +got):\n%s", diff)
	}
	if req := c.Session().CertificateRequest(); !req.Seen() || len(req.AcceptableCAs()) != 1 {
		t.Errorf("certificate request seen %v with %d CAs, want one CA", req.Seen(), len(req.AcceptableCAs()))
	}
}

func TestServerPassesTheRequestOn(t *testing.T) {
	m := newMesh(t)
	seen := make(chan *hbone.Request, 1)
	addr := serve(t, &hbone.Server{TLS: m.serverTLS(), Handler: func(_ context.Context, r *hbone.Request) hbone.Answer {
		seen <- r
		return hbone.Answer{Serve: echo, Header: http.Header{"Baggage": {"k8s.cluster.name=west"}}}
	}})
	d := m.dialer(t)
	d.Header = http.Header{"Baggage": {"k8s.cluster.name=east"}}
	s, err := d.Connect(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := s.Open(t.Context(), "ratings.shop.svc.cluster.local:9080", http.Header{"X-Forwarded-Network": {"east"}})
	if err != nil {
		t.Fatal(err)
	}
	r := <-seen
	if diff := cmp.Diff(http.Header{"Baggage": {"k8s.cluster.name=east"}, "X-Forwarded-Network": {"east"}}, r.Header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if r.Authority != "ratings.shop.svc.cluster.local:9080" {
		t.Errorf("authority %q", r.Authority)
	}
	if got := r.TLS.PeerCertificates[0].URIs[0].String(); got != clientID {
		t.Errorf("client identity %s, want %s", got, clientID)
	}
	status, header := c.Response()
	if status != 200 || header.Get("baggage") != "k8s.cluster.name=west" {
		t.Errorf("response %d %v", status, header)
	}
}

func TestRefusalsAreNamed(t *testing.T) {
	m := newMesh(t)
	foreign := hbonetest.NewCA(t, "cluster.local")
	foreignCert := foreign.Issue(t, clientID)
	refuse := func(context.Context, *hbone.Request) hbone.Answer {
		return hbone.Answer{Status: http.StatusUnauthorized, Header: http.Header{"Server": {"envoy"}}}
	}
	addr := serve(t, &hbone.Server{TLS: m.serverTLS(), Handler: refuse})
	present := func(cert *tls.Certificate) *tls.Config {
		cfg := m.clientTLS()
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
		return cfg
	}
	errOwn := errors.New("not the identity")
	for name, tc := range map[string]struct {
		tls    *tls.Config
		phase  hbone.Phase
		alert  tls.AlertError
		status int
		is     error
	}{
		"status":             {tls: m.clientTLS(), phase: hbone.PhaseConnect, status: 401, is: hbone.ErrRefused},
		"foreign-root":       {tls: present(&foreignCert), phase: hbone.PhaseHandshake, alert: 48},
		"no-certificate":     {tls: hbone.ClientTLS(nil, m.ca.Verify("")), phase: hbone.PhaseHandshake, alert: 116},
		"own-verification":   {tls: hbone.ClientTLS(nil, func(tls.ConnectionState) error { return errOwn }), phase: hbone.PhaseHandshake, is: errOwn},
		"no-verify-function": {tls: &tls.Config{InsecureSkipVerify: true}, phase: hbone.PhaseHandshake, is: hbone.ErrConfig},
	} {
		t.Run(name, func(t *testing.T) {
			d := &hbone.Dialer{TLS: tc.tls}
			defer d.Close()
			_, err := d.DialContext(t.Context(), addr, "10.0.0.1:9080")
			he, ok := errors.AsType[*hbone.Error](err)
			if !ok {
				t.Fatalf("error %v is no *hbone.Error", err)
			}
			alert, _ := hbone.RemoteAlert(err)
			if he.Phase != tc.phase || he.Status != tc.status || alert != tc.alert || he.Target != addr {
				t.Errorf("got %v: phase %v status %d alert %d, want %v %d %d", err, he.Phase, he.Status, alert, tc.phase, tc.status, tc.alert)
			}
			if tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("%v is not %v", err, tc.is)
			}
			if tc.status != 0 && he.Header.Get("server") != "envoy" {
				t.Errorf("header of the refusal %v", he.Header)
			}
		})
	}
}

func TestTCPRefusedIsDial(t *testing.T) {
	l := listen(t)
	addr := l.Addr().String()
	_ = l.Close()
	_, err := newMesh(t).dialer(t).DialContext(t.Context(), addr, "10.0.0.1:9080")
	if he, ok := errors.AsType[*hbone.Error](err); !ok || he.Phase != hbone.PhaseDial {
		t.Errorf("got %v, want an error of phase dial", err)
	}
}

func TestNest(t *testing.T) {
	m := newMesh(t)
	gateway := m.ca.Issue(t, "spiffe://cluster.local/ns/istio-system/sa/gateway")
	inner := serve(t, &hbone.Server{TLS: m.serverTLS(), Handler: func(_ context.Context, r *hbone.Request) hbone.Answer {
		if r.Authority == "denied:80" {
			return hbone.Answer{Status: http.StatusUnauthorized}
		}
		return hbone.Answer{Serve: echo}
	}})
	outer := serve(t, &hbone.Server{TLS: m.ca.ServerTLS(gateway), Handler: func(ctx context.Context, r *hbone.Request) hbone.Answer {
		if r.Authority == "reset:80" { // Istio's gateway does so for an unknown address
			return hbone.Answer{Serve: func(_ context.Context, c *hbone.Conn) { c.Reset(http2.ErrCodeConnect) }}
		}
		up, err := new(net.Dialer).DialContext(ctx, "tcp", inner)
		if err != nil {
			return hbone.Answer{Status: 503}
		}
		return hbone.Answer{Upstream: up}
	}})
	d := &hbone.Dialer{TLS: hbone.ClientTLS(func() (*tls.Certificate, error) { return &m.client, nil },
		m.ca.Verify("spiffe://cluster.local/ns/istio-system/sa/gateway"))}
	defer d.Close()
	const authority = "ratings.shop.svc.cluster.local:9080"
	dial := func() *hbone.Conn {
		c, err := d.DialContext(t.Context(), outer, authority)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	t.Run("accepted", func(t *testing.T) {
		c, err := hbone.Nest(t.Context(), dial(), m.clientTLS(), authority, http.Header{"X-Forwarded-Network": {"east"}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		roundTrip(t, c, bytes.Repeat([]byte("inner"), 1<<20))
		innerID := c.ConnectionState().PeerCertificates[0].URIs[0].String()
		outerID := c.Outer().ConnectionState().PeerCertificates[0].URIs[0].String()
		if innerID != serverID || outerID == serverID {
			t.Errorf("inner identity %s, outer identity %s", innerID, outerID)
		}
	})
	t.Run("inner-status", func(t *testing.T) {
		_, err := hbone.Nest(t.Context(), dial(), m.clientTLS(), "denied:80", nil)
		he, _ := errors.AsType[*hbone.Error](err)
		if he == nil || he.Layer != hbone.LayerInner || he.Phase != hbone.PhaseConnect || he.Status != 401 {
			t.Errorf("got %v, want status 401 of the inner CONNECT", err)
		}
	})
	t.Run("outer-reset", func(t *testing.T) {
		c, err := d.DialContext(t.Context(), outer, "reset:80")
		if err != nil {
			t.Fatal(err)
		}
		_, err = hbone.Nest(t.Context(), c, m.clientTLS(), authority, nil)
		he, _ := errors.AsType[*hbone.Error](err)
		re, _ := errors.AsType[*hbone.ResetError](err)
		if he == nil || he.Layer != hbone.LayerInner || he.Phase != hbone.PhaseHandshake || re == nil || re.Code != http2.ErrCodeConnect {
			t.Errorf("got %v, want CONNECT_ERROR of the outer tunnel in the inner handshake", err)
		}
	})
	t.Run("inner-refused", func(t *testing.T) {
		foreign := hbonetest.NewCA(t, "other").Issue(t, clientID)
		cfg := hbone.ClientTLS(func() (*tls.Certificate, error) { return &foreign, nil }, m.ca.Verify(serverID))
		_, err := hbone.Nest(t.Context(), dial(), cfg, authority, nil)
		he, _ := errors.AsType[*hbone.Error](err)
		alert, _ := hbone.RemoteAlert(err)
		if he == nil || he.Layer != hbone.LayerInner || he.Phase != hbone.PhaseHandshake || alert != 48 {
			t.Errorf("got %v, want unknown_ca of the inner handshake", err)
		}
	})
}

func TestDeadConnectionIsReplaced(t *testing.T) {
	m := newMesh(t)
	srv := &hbone.Server{TLS: m.serverTLS(), Handler: echoHandler}
	l := listen(t)
	addr := l.Addr().String()
	conns := make(chan net.Conn, 8)
	d := m.dialer(t)
	d.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		conns <- c
		return c, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(context.Background(), l)
	}()
	defer func() {
		_ = srv.Close()
		<-done
	}()
	for range 3 {
		for range 3 { // one connection carries several tunnels
			c, err := d.DialContext(t.Context(), addr, "10.0.0.1:80")
			if err != nil {
				t.Fatal(err)
			}
			roundTrip(t, c, []byte("x"))
			_ = c.Close()
		}
		if len(conns) != 1 {
			t.Fatalf("%d connections were dialed, want 1", len(conns))
		}
		_ = (<-conns).Close()
	}
}

func TestStreamLimitIsRespected(t *testing.T) {
	m := newMesh(t)
	addr := serve(t, &hbone.Server{TLS: m.serverTLS(), Handler: echoHandler, Settings: hbone.Settings{MaxConcurrentStreams: 2}})
	d := m.dialer(t)
	s, err := d.Connect(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	first, err := s.Open(t.Context(), "10.0.0.1:80", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), "10.0.0.1:80", nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Open(ctx, "10.0.0.1:80", nil); !errors.Is(err, hbone.ErrStreamLimit) {
		t.Errorf("got %v, want ErrStreamLimit", err)
	}
	roundTrip(t, first, []byte("x"))
	if _, err := s.Open(t.Context(), "10.0.0.1:80", nil); err != nil {
		t.Errorf("after a tunnel ended: %v", err)
	}
}

func TestResetCode(t *testing.T) {
	m := newMesh(t)
	for name, code := range map[string]http2.ErrCode{
		"connect-error": http2.ErrCodeConnect, "cancel": http2.ErrCodeCancel, "no-error": http2.ErrCodeNo,
	} {
		t.Run(name, func(t *testing.T) {
			addr := serve(t, &hbone.Server{TLS: m.serverTLS(), Handler: func(context.Context, *hbone.Request) hbone.Answer {
				return hbone.Answer{Serve: func(_ context.Context, c *hbone.Conn) {
					_, _ = c.Write([]byte("before"))
					c.Reset(code)
				}}
			}})
			c, err := m.dialer(t).DialContext(t.Context(), addr, "10.0.0.1:80")
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(c)
			if string(got) != "before" {
				t.Errorf("read %q before the reset", got)
			}
			re, ok := errors.AsType[*hbone.ResetError](err)
			if wantEOF := code != http2.ErrCodeConnect; wantEOF != (err == nil) || !wantEOF && (!ok || re.Code != code || !re.Remote) {
				t.Errorf("reset with %v read as %v", code, err)
			}
		})
	}
}

func TestShutdownDrains(t *testing.T) {
	m := newMesh(t)
	l := listen(t)
	srv := &hbone.Server{TLS: m.serverTLS(), Handler: echoHandler}
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(context.Background(), l) })
	s, err := m.dialer(t).Connect(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := s.Open(t.Context(), "10.0.0.1:80", nil)
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	wg.Go(func() { stopped <- srv.Shutdown(context.Background()) })
	// GOAWAY has come when nothing can be opened any more.
	for s.Err() == nil {
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := errors.AsType[*hbone.GoAwayError](s.Err()); !ok {
		t.Errorf("session says %v, want GOAWAY", s.Err())
	}
	roundTrip(t, c, []byte("the open tunnel goes on"))
	if err := <-stopped; err != nil {
		t.Errorf("shutdown: %v", err)
	}
	wg.Wait()
}

// TestServeConnOverATunnel terminates the inner layer in the process that
// terminates the outer one.
func TestServeConnOverATunnel(t *testing.T) {
	m := newMesh(t)
	inner := &hbone.Server{TLS: m.serverTLS(), Handler: echoHandler}
	addr := serve(t, &hbone.Server{TLS: m.serverTLS(), Handler: func(context.Context, *hbone.Request) hbone.Answer {
		return hbone.Answer{Serve: func(ctx context.Context, c *hbone.Conn) { _ = inner.ServeConn(ctx, c) }}
	}})
	d := m.dialer(t)
	for range 3 {
		outer, err := d.DialContext(t.Context(), addr, "10.0.0.1:80")
		if err != nil {
			t.Fatal(err)
		}
		c, err := d.Nest(t.Context(), outer, "10.0.0.1:80", nil)
		if err != nil {
			t.Fatal(err)
		}
		roundTrip(t, c, bytes.Repeat([]byte("inner"), 1<<20))
		_ = c.Close()
	}
}
