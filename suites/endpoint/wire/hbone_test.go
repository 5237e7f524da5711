// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"

	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// serveHBONE terminates HBONE until the test ends.
func serveHBONE(t testing.TB, cfg *tls.Config, handle hbone.Handler) (addr string) {
	t.Helper()
	s := &hbone.Server{TLS: cfg, Handler: handle}
	t.Cleanup(func() { _ = s.Close() })
	return hbonetest.Listen(t, func(ctx context.Context, conn net.Conn) { _ = s.ServeConn(ctx, conn) })
}

func echo(context.Context, *hbone.Request) hbone.Answer {
	return hbone.Answer{
		Header: http.Header{"Baggage": {"k8s.cluster.name=east"}, "X-Long": {strings.Repeat("x", 1000)}},
		Serve: func(_ context.Context, c *hbone.Conn) {
			_, _ = io.Copy(c, c)
			_ = c.CloseWrite()
		},
	}
}

func status(code int) hbone.Handler {
	return func(context.Context, *hbone.Request) hbone.Answer {
		return hbone.Answer{Status: code, Header: http.Header{"X-Why": {"policy"}}}
	}
}

// TestHBONE opens a tunnel and sends bytes through it.
func TestHBONE(t *testing.T) {
	m := newMesh(t)
	addr := serveHBONE(t, m.ca.ServerTLS(m.server), echo)
	target := wire.Target{Kind: wire.HBONE, Address: addr, Identity: m.client, To: "10.0.0.1:8080", Send: []byte("hello\n"), Quiet: 5 * time.Second}
	got := observe(t, target)
	l := got.Layer
	if l.Outcome != seen.Accepted || l.Proof != "SETTINGS" || l.Status != 200 || l.Baggage != "k8s.cluster.name=east" ||
		l.Settings["MAX_CONCURRENT_STREAMS"] != 200 || l.Authority != "10.0.0.1:8080" || l.ALPN != "h2" || !l.Asked {
		t.Errorf("%+v", l)
	}
	if v := l.Headers["X-Long"]; len(v) != 1 || len(v[0]) > 600 {
		t.Errorf("header of %d bytes", len(v[0]))
	}
	want := &wire.Tunnel{
		Sent: 6, Received: 6, Data: `hello\n`, Closed: "END_STREAM", HalfClosed: true,
		Answer: &wire.Answer{Protocol: wire.ProtocolOther, To: wire.PromptData, Line: "hello"},
	}
	if got.Tunnel == nil {
		t.Fatal("no tunnel")
	}
	got.Tunnel.FirstMS = 0
	if diff := cmp.Diff(want, got.Tunnel); diff != "" {
		t.Error(diff)
	}
	target.Send = nil
	got = observe(t, target)
	if got.Tunnel == nil || got.Tunnel.Closed != "END_STREAM" || got.Tunnel.Received != 0 {
		t.Errorf("without bytes: %+v", got.Tunnel)
	}
}

// TestHBONERefusals meets every way to say no.
func TestHBONERefusals(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	cfg := m.ca.ServerTLS(m.server)
	type want struct {
		outcome seen.Outcome
		alert   string
		end     wire.End
		early   bool
		status  int
		reset   string
		goAway  string
		tunnel  string
	}
	for _, tc := range []struct {
		name   string
		addr   string
		target wire.Target
		want   want
	}{
		{"401", serveHBONE(t, cfg, status(401)), wire.Target{}, want{outcome: seen.Accepted, status: 401}},
		{"503", serveHBONE(t, cfg, status(503)), wire.Target{}, want{outcome: seen.Accepted, status: 503}},
		{"foreign", serveHBONE(t, cfg, echo), wire.Target{Client: wire.Foreign}, want{outcome: seen.Refused, alert: "unknown_ca"}},
		{"none", serveHBONE(t, cfg, echo), wire.Target{Client: wire.None}, want{outcome: seen.Refused, alert: "certificate_required"}},
		{"old", serveHBONE(t, cfg, echo), wire.Target{MaxVersion: tls.VersionTLS12}, want{outcome: seen.Refused, alert: "protocol_version", early: true}},
		{"alpn", serveHBONE(t, cfg, echo), wire.Target{ALPN: []string{"other"}}, want{outcome: seen.Refused, alert: "no_application_protocol", early: true}},
		{"no-alpn", hbonetest.Server{TLS: cfg, NoALPN: true}.Start(t), wire.Target{}, want{outcome: seen.Unclear}},
		{"closes", hbonetest.Server{TLS: cfg, ClosesInHandshake: true}.Start(t), wire.Target{NoSniff: true}, want{outcome: seen.Closed, end: wire.EndFIN, early: true}},
		{"mute", hbonetest.Server{TLS: cfg, Mute: true}.Start(t), wire.Target{Timeout: time.Second}, want{outcome: wire.Stalled}},
		{"http11", hbonetest.Server{TLS: cfg, HTTP11: true}.Start(t), wire.Target{}, want{outcome: seen.Unclear}},
		{"goaway", hbonetest.Server{TLS: cfg, GoAwayOnRequest: true}.Start(t), wire.Target{}, want{outcome: seen.Accepted, goAway: "ENHANCE_YOUR_CALM"}},
		{"reset", hbonetest.Server{TLS: cfg, RefusesStream: true}.Start(t), wire.Target{}, want{outcome: seen.Accepted, reset: "REFUSED_STREAM"}},
		{
			"early-200", hbonetest.Server{TLS: cfg, AnswerBeforeDial: true}.Start(t),
			wire.Target{},
			want{outcome: seen.Accepted, status: 200, tunnel: "RST_STREAM CONNECT_ERROR"},
		},
		{
			"mid-stream", hbonetest.Server{TLS: cfg, ResetMidStream: true}.Start(t),
			wire.Target{},
			want{outcome: seen.Accepted, status: 200, tunnel: "RST_STREAM INTERNAL_ERROR"},
		},
		{
			"cut", hbonetest.Server{TLS: cfg, ClosesMidStream: true}.Start(t),
			wire.Target{},
			want{outcome: seen.Accepted, status: 200, tunnel: "connection closed"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.target.Kind, tc.target.Address, tc.target.Identity, tc.target.To = wire.HBONE, tc.addr, m.client, "10.0.0.1:8080"
			s := observe(t, tc.target)
			got := want{outcome: s.Layer.Outcome, alert: s.Layer.Alert, end: s.Layer.End, early: s.Layer.Early, status: s.Layer.Status, reset: s.Layer.Reset}
			if s.Layer.GoAway != nil {
				got.goAway = s.Layer.GoAway.Code
			}
			if s.Tunnel != nil {
				got.tunnel = s.Tunnel.Closed
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s\n%s", diff, s.Layer.Error)
			}
			if (s.Layer.Alert != "") != (s.Layer.AlertBy == wire.Peer) {
				t.Errorf("alert %q by %q", s.Layer.Alert, s.Layer.AlertBy)
			}
		})
	}
}

// gateway accepts the outer layer and hands the tunnel to serve.
func gateway(t testing.TB, m *mesh, serve func(context.Context, *hbone.Conn)) (addr string) {
	t.Helper()
	return serveHBONE(t, m.ca.ServerTLS(m.server), func(context.Context, *hbone.Request) hbone.Answer {
		return hbone.Answer{Serve: serve}
	})
}

// TestDoubleHBONE sees both layers.
func TestDoubleHBONE(t *testing.T) {
	m := newMesh(t)
	inner := &hbone.Server{TLS: m.ca.ServerTLS(m.ca.Issue(t, serverID+"-inner")), Handler: echo}
	t.Cleanup(func() { _ = inner.Close() })
	addr := gateway(t, m, func(ctx context.Context, c *hbone.Conn) { _ = inner.ServeConn(ctx, c) })
	target := wire.Target{
		Kind: wire.DoubleHBONE, Address: addr, Identity: m.client, To: "ratings.shop:9080", InnerTo: "ratings.shop:9081",
		Send: []byte("x"), Quiet: 5 * time.Second,
	}
	got := observe(t, target)
	if got.Layer.Status != 200 || got.Inner == nil || got.Inner.Status != 200 || got.Inner.Authority != "ratings.shop:9081" {
		t.Fatalf("%+v\n%+v", got.Layer, got.Inner)
	}
	if diff := cmp.Diff([]string{serverID + "-inner"}, got.Inner.Certificates[0].URIs); diff != "" {
		t.Error(diff)
	}
	if got.Tunnel == nil || got.Tunnel.Received != 1 || got.Last() != got.Inner || got.Inner.Received == 0 {
		t.Errorf("%+v", got.Tunnel)
	}
	target.Client = wire.Foreign
	if l := observe(t, target).Layer; l.Outcome != seen.Refused || l.Alert != "unknown_ca" {
		t.Errorf("foreign: %+v", l)
	}
}

// TestInnerFailures meets gateways behind which something is wrong.
func TestInnerFailures(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	for _, tc := range []struct {
		name    string
		serve   func(context.Context, *hbone.Conn)
		outcome seen.Outcome
		reset   string // of the outer layer
		inside  wire.Protocol
	}{
		{"plaintext", func(_ context.Context, c *hbone.Conn) {
			_, _ = c.Read(make([]byte, 4<<10))
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			_, _ = io.Copy(io.Discard, c)
		}, wire.NotTLS, "", wire.ProtocolHTTP},
		{"reset", func(_ context.Context, c *hbone.Conn) { c.Reset(http2.ErrCodeConnect) }, seen.Closed, "CONNECT_ERROR", ""},
		{"closed", func(_ context.Context, c *hbone.Conn) { _ = c.CloseWrite(); _, _ = io.Copy(io.Discard, c) }, seen.Closed, "", ""},
		{"silent", func(ctx context.Context, _ *hbone.Conn) { <-ctx.Done() }, wire.Stalled, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := observe(t, wire.Target{
				Kind: wire.DoubleHBONE, Address: gateway(t, m, tc.serve), Identity: m.client, To: "ratings.shop:9080", Timeout: 3 * time.Second,
			})
			if got.Layer.Status != 200 || got.Inner == nil {
				t.Fatalf("%+v", got.Layer)
			}
			if got.Inner.Outcome != tc.outcome || got.Layer.Reset != tc.reset {
				t.Errorf("inner %s, outer reset %q: %s", got.Inner.Outcome, got.Layer.Reset, got.Inner.Error)
			}
			if (got.Inner.Inside != nil) != (tc.inside != "") || tc.inside != "" && got.Inner.Inside.Protocol != tc.inside {
				t.Errorf("inside: %+v", got.Inner.Inside)
			}
		})
	}
}

// TestJSON brings an observation through a record and back.
func TestJSON(t *testing.T) {
	m := newMesh(t)
	got := observe(t, wire.Target{Kind: wire.HBONE, Address: serveHBONE(t, m.ca.ServerTLS(m.server), echo), Identity: m.client, To: "10.0.0.1:80"})
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var back wire.Seen
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(back)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), string(again)); diff != "" {
		t.Error(diff)
	}
	if back.Layer.Status != 200 || len(back.Layer.Chain) != 1 || back.Tunnel == nil {
		t.Errorf("%+v", back.Layer)
	}
	if strings.Contains(string(text), "PRIVATE") {
		t.Error("an observation holds a key")
	}
}
