// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// gist is what a test compares of a layer.
type gist struct {
	Protocol  wire.Protocol
	Outcome   seen.Outcome
	Proof     string
	Alert     string
	OwnAlert  string
	By        wire.Side
	End       wire.End
	Early     bool
	Version   string
	Group     string
	ALPN      string
	Retried   bool
	Asked     bool
	Chain     int
	Connected int
	Control   seen.Outcome
}

func gistOf(s wire.Seen) gist {
	l := s.Layer
	if l == nil {
		l = &wire.Layer{}
	}
	c := s.Control
	if c == nil {
		c = &wire.Control{}
	}
	return gist{
		Control:  c.Outcome,
		Protocol: s.Answer.Protocol, Outcome: l.Outcome, Proof: l.Proof, Alert: l.Alert, OwnAlert: l.OwnAlert,
		By: l.AlertBy, End: l.End, Early: l.Early, Version: l.Version, Group: l.Group, ALPN: l.ALPN,
		Retried: l.Retried, Asked: l.Asked, Chain: len(l.Chain), Connected: s.Connections,
	}
}

func drain(c *tls.Conn) { _, _ = io.Copy(io.Discard, c) }

// TestHandshake meets Go servers in each mode.
func TestHandshake(t *testing.T) {
	m := newMesh(t)
	good := gist{
		Protocol: wire.ProtocolTLS, Outcome: seen.Accepted, Proof: "session ticket", Version: "TLS 1.3",
		Group: "X25519MLKEM768", Asked: true, Chain: 1, Connected: 1,
	}
	with := func(change func(*gist)) gist {
		g := good
		change(&g)
		return g
	}
	refused := func(alert string, early bool) func(*gist) {
		return func(g *gist) {
			g.Outcome, g.Proof, g.Alert, g.By, g.Early = seen.Refused, "", alert, wire.Peer, early
		}
	}
	controlled := func(g *gist) { g.Connected, g.Control = 2, seen.Accepted }
	old := func(g *gist) { g.Version, g.Group, g.Proof = "TLS 1.2", "X25519", "handshake" }
	for _, tc := range []struct {
		name   string
		server func(*tls.Config)
		target wire.Target
		want   gist
	}{
		{"accepted", nil, wire.Target{}, good},
		{"accepted-without-ticket", func(c *tls.Config) { c.SessionTicketsDisabled = true }, wire.Target{}, with(func(g *gist) {
			g.Proof, g.End = "close_notify", wire.EndNotify
		})},
		{"foreign", nil, wire.Target{Client: wire.Foreign}, with(func(g *gist) { refused("unknown_ca", false)(g); controlled(g) })},
		{"no-certificate", nil, wire.Target{Client: wire.None}, with(func(g *gist) { refused("certificate_required", false)(g); controlled(g) })},
		{"not-asked", func(c *tls.Config) { c.ClientAuth = tls.NoClientCert }, wire.Target{}, with(func(g *gist) { g.Asked = false })},
		{"tls12", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }, wire.Target{}, with(old)},
		{
			"tls12-foreign", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 },
			wire.Target{Client: wire.Foreign},
			with(func(g *gist) { old(g); refused("unknown_ca", true)(g); controlled(g) }),
		},
		{
			"tls12-no-certificate", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 },
			wire.Target{Client: wire.None},
			with(func(g *gist) { old(g); refused("handshake_failure", true)(g); controlled(g) }),
		},
		{"alpn", func(c *tls.Config) { c.NextProtos = []string{"h2", "istio"} }, wire.Target{Kind: wire.Sidecar}, with(func(g *gist) {
			g.ALPN = "istio"
		})},
		{"alpn-mismatch", func(c *tls.Config) { c.NextProtos = []string{"h2"} }, wire.Target{ALPN: []string{"other"}}, with(func(g *gist) {
			refused("no_application_protocol", true)(g)
			g.Version, g.Group, g.Asked, g.Chain = "", "", false, 0
		})},
		{"retry", func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP384} }, wire.Target{}, with(func(g *gist) {
			g.Group, g.Retried = "CurveP384", true
		})},
		{
			"no-common-group", func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP384} },
			wire.Target{Groups: []tls.CurveID{tls.X25519}},
			with(func(g *gist) {
				refused("handshake_failure", true)(g)
				g.Version, g.Group, g.Asked, g.Chain = "", "", false, 0
			}),
		},
		{"too-old", func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, wire.Target{}, with(func(g *gist) {
			refused("protocol_version", true)(g)
			g.Version, g.Group, g.Asked, g.Chain = "", "", false, 0
		})},
		{"too-new", nil, wire.Target{MaxVersion: tls.VersionTLS12}, with(func(g *gist) {
			refused("protocol_version", true)(g)
			g.Version, g.Group, g.Asked, g.Chain = "", "", false, 0
		})},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := m.ca.ServerTLS(m.server)
			if tc.server != nil {
				tc.server(cfg)
			}
			tc.target.Kind = cmp.Or(tc.target.Kind, wire.TLS)
			tc.target.Address, tc.target.Identity = serveTLS(t, cfg, drain), m.client
			if diff := gocmp.Diff(tc.want, gistOf(observe(t, tc.target))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestServerDetails sees what a server asks for and offers beside its chain.
func TestServerDetails(t *testing.T) {
	m := newMesh(t)
	m.server.OCSPStaple = []byte("no response")
	m.server.SignedCertificateTimestamps = [][]byte{{1}, {2}}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := m.ca.ServerTLS(m.server)
		cfg.MinVersion, cfg.MaxVersion = version, version
		got := observe(t, wire.Target{Kind: wire.TLS, Address: serveTLS(t, cfg, drain), Identity: m.client, SNI: "ratings.shop"})
		l := got.Layer
		if l.SCTs != 2 || l.OCSP == nil || l.OCSP.Status != "unreadable" || l.OCSP.Bytes != len("no response") {
			t.Errorf("%s: %d SCTs, OCSP %+v", tls.VersionName(version), l.SCTs, l.OCSP)
		}
		if diff := gocmp.Diff([]string{"O=mesh"}, l.Authorities); diff != "" {
			t.Error(diff)
		}
		if len(l.Signatures) == 0 || l.SNI != "ratings.shop" || l.RTTMS <= 0 || l.TookMS <= 0 || l.Received == 0 {
			t.Errorf("%s: %+v", tls.VersionName(version), l)
		}
		if diff := gocmp.Diff([]string{serverID}, l.Certificates[0].URIs); diff != "" {
			t.Error(diff)
		}
	}
}

// TestUnparsable meets a server whose certificate crypto/x509 refuses: the
// chain is there all the same, and it is us who refused.
func TestUnparsable(t *testing.T) {
	m := newMesh(t)
	m.server.Certificate[0] = negativeSerial(t, m.server.Certificate[0])
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := m.ca.ServerTLS(m.server)
		cfg.MinVersion, cfg.MaxVersion = version, version
		got := observe(t, wire.Target{Kind: wire.TLS, Address: serveTLS(t, cfg, drain), Identity: m.client})
		want := gist{
			Protocol: wire.ProtocolTLS, Outcome: wire.Rejected, OwnAlert: "decode_error", By: wire.Us, Early: true,
			Version: tls.VersionName(version), Group: "X25519", Asked: true, Chain: 1, Connected: 1,
		}
		if version == tls.VersionTLS13 {
			want.Group = "X25519MLKEM768"
		}
		if diff := gocmp.Diff(want, gistOf(got)); diff != "" {
			t.Error(diff)
		}
		l := got.Layer
		if !strings.Contains(l.Unparsable, "negative serial") || !strings.Contains(l.Error, "failed to parse certificate") {
			t.Errorf("unparsable %q, error %q", l.Unparsable, l.Error)
		}
		if diff := gocmp.Diff([]string{serverID}, l.Certificates[0].URIs); diff != "" {
			t.Error(diff)
		}
		if diff := gocmp.Diff([]string{"O=mesh"}, l.Authorities); diff != "" {
			t.Error(diff)
		}
		if diff := gocmp.Diff(m.server.Certificate[0], l.Chain[0]); diff != "" {
			t.Error(diff)
		}
	}
}

// TestUnparsableSuites reads the wire under the other suites of TLS 1.3, which
// no Go server can be told to choose.
func TestUnparsableSuites(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl")
	}
	m := newMesh(t)
	m.server.Certificate[0] = negativeSerial(t, m.server.Certificate[0])
	files := m.ca.Write(t, m.server)
	for _, suite := range []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"} {
		addr := openTLS(t, openssl, "-cert", files.Cert, "-key", files.Key, "-CAfile", files.Root, "-Verify", "2", "-ciphersuites", suite, "-quiet")
		l := observe(t, wire.Target{Kind: wire.TLS, Address: addr, Identity: m.client}).Layer
		if l.Outcome != wire.Rejected || l.Cipher != suite || len(l.Chain) != 2 || l.OwnAlert != "decode_error" || !l.Asked {
			t.Errorf("%s: %s %s, %d certificates, %s, asked %v: %s", suite, l.Outcome, l.Cipher, len(l.Chain), l.OwnAlert, l.Asked, l.Error)
		}
	}
}

// openTLS runs openssl s_server until the test ends.
func openTLS(t testing.TB, openssl string, args ...string) (addr string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	_ = l.Close()
	cmd := exec.CommandContext(t.Context(), openssl, append([]string{"s_server", "-accept", addr}, args...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		if err == nil {
			_ = conn.Close()
			return addr
		}
		if time.Now().After(deadline) {
			t.Fatalf("openssl s_server does not listen: %v", err)
		}
		select {
		case <-t.Context().Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// negativeSerial changes a certificate so that its serial number is negative.
func negativeSerial(t testing.TB, der []byte) []byte {
	t.Helper()
	i := strings.Index(string(der), "\xa0\x03\x02\x01\x02\x02")
	if i < 0 {
		t.Fatal("no serial number found")
	}
	out := append([]byte(nil), der...)
	out[i+7] |= 0x80
	if out[i+7] == 0xff { // would not be minimal
		out[i+7] = 0xfe
	}
	return out
}

// TestAfterHandshake meets servers that do something else than answer.
func TestAfterHandshake(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	cfg := m.ca.ServerTLS(m.server)
	cfg.SessionTicketsDisabled = true
	hold := func(ctx context.Context, conn net.Conn) {
		if tls.Server(conn, cfg).HandshakeContext(ctx) == nil {
			<-ctx.Done()
		}
	}
	hangUp := func(reset bool) func(context.Context, net.Conn) {
		return func(ctx context.Context, conn net.Conn) {
			if tls.Server(conn, cfg).HandshakeContext(ctx) != nil {
				return
			}
			if tcp, ok := conn.(*net.TCPConn); ok && reset {
				_ = tcp.SetLinger(0)
			}
		}
	}
	speak := func(ctx context.Context, conn net.Conn) {
		tc := tls.Server(conn, cfg)
		if tc.HandshakeContext(ctx) == nil {
			_, _ = io.WriteString(tc, "HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n")
			drain(tc)
		}
	}
	for _, tc := range []struct {
		name  string
		serve func(context.Context, net.Conn)
		out   seen.Outcome
		end   wire.End
		proof string
	}{
		{"silent", hold, seen.NotRefused, wire.EndNone, ""},
		{"reset", hangUp(true), seen.Closed, wire.EndRST, ""},
		{"speaks", speak, seen.Accepted, wire.EndNone, "application data"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := observe(t, wire.Target{Kind: wire.TLS, Address: hbonetest.Listen(t, tc.serve), Identity: m.client}).Layer
			if l.Outcome != tc.out || l.End != tc.end || l.Proof != tc.proof || l.Early {
				t.Errorf("%s by %q, end %q: %s", l.Outcome, l.Proof, l.End, l.Error)
			}
			if tc.name == "speaks" && (l.Inside == nil || l.Inside.Protocol != wire.ProtocolHTTP || l.Inside.Server != "nginx") {
				t.Errorf("inside: %+v", l.Inside)
			}
		})
	}
}

// TestStalled cuts a handshake off after some bytes of the server.
func TestStalled(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	upstream := serveTLS(t, m.ca.ServerTLS(m.server), drain)
	addr := hbonetest.Listen(t, func(ctx context.Context, conn net.Conn) {
		up, err := new(net.Dialer).DialContext(ctx, "tcp", upstream)
		if err != nil {
			return
		}
		defer func() { _ = up.Close() }()
		hello := make([]byte, 16<<10)
		n, _ := conn.Read(hello)
		_, _ = up.Write(hello[:n])
		_, _ = io.CopyN(conn, up, 1600)
		<-ctx.Done()
	})
	got := observe(t, wire.Target{Kind: wire.TLS, Address: addr, Identity: m.client, Timeout: 2 * time.Second})
	l := got.Layer
	if l.Outcome != wire.Stalled || !l.Early || l.Received != 1600 || l.Version != "TLS 1.3" || got.Answer.Protocol != wire.ProtocolTLS {
		t.Errorf("%s, %d bytes, %s, %q: %s", l.Outcome, l.Received, l.Version, l.Messages, l.Error)
	}
	if len(l.Messages) == 0 || l.Messages[0] != "ServerHello" {
		t.Errorf("messages: %q", l.Messages)
	}
}
