// SPDX-License-Identifier: Apache-2.0

package hbone_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
)

// tlsServer answers every connection with one behaviour until the test ends.
func tlsServer(t testing.TB, cfg *tls.Config, then func(*tls.Conn)) string {
	t.Helper()
	return hbonetest.Listen(t, func(_ context.Context, conn net.Conn) {
		tc := tls.Server(conn, cfg)
		if tc.Handshake() == nil {
			then(tc)
		}
	})
}

func try(t testing.TB, addr string, cfg *tls.Config) hbone.Acceptance {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return hbone.Acceptor{TLS: cfg}.Try(t.Context(), conn)
}

type outcome struct {
	Verdict     hbone.Verdict
	Proof       hbone.Proof
	Alert       string
	InHandshake bool
}

func outcomeOf(a hbone.Acceptance) outcome {
	o := outcome{Verdict: a.Verdict, Proof: a.Proof, InHandshake: a.InHandshake}
	if a.Verdict == hbone.VerdictRefused {
		o.Alert = hbone.AlertName(a.Alert)
	}
	return o
}

// listening tries a server that may refuse before it is told that all was said.
func listening(t testing.TB, addr string, cfg *tls.Config) hbone.Acceptance {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return hbone.Acceptor{TLS: cfg, Listen: 20 * time.Millisecond, Floor: 200 * time.Millisecond}.Try(t.Context(), conn)
}

func TestAcceptanceOfGoServers(t *testing.T) {
	m := newMesh(t)
	foreign := hbonetest.NewCA(t, "cluster.local").Issue(t, clientID)
	foreignTLS := m.clientTLS()
	foreignTLS.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &foreign, nil }
	drain := func(c *tls.Conn) { _, _ = io.Copy(io.Discard, c); _ = c.Close() }
	noTickets := m.serverTLS()
	noTickets.SessionTicketsDisabled = true
	tls12 := m.serverTLS()
	tls12.MinVersion, tls12.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	client12 := m.clientTLS()
	client12.MinVersion = tls.VersionTLS12
	for name, tc := range map[string]struct {
		server *tls.Config
		then   func(*tls.Conn)
		client *tls.Config
		want   outcome
	}{
		"ticket":           {m.serverTLS(), drain, m.clientTLS(), outcome{Verdict: hbone.VerdictAccepted, Proof: hbone.ProofTicket}},
		"close-notify":     {noTickets, drain, m.clientTLS(), outcome{Verdict: hbone.VerdictAccepted, Proof: hbone.ProofCloseNotify}},
		"data":             {noTickets, func(c *tls.Conn) { _, _ = c.Write([]byte("hello")); drain(c) }, m.clientTLS(), outcome{Verdict: hbone.VerdictAccepted, Proof: hbone.ProofData}},
		"silent":           {noTickets, func(c *tls.Conn) { _, _ = io.Copy(io.Discard, c.NetConn()) }, m.clientTLS(), outcome{Verdict: hbone.VerdictNotRefused}},
		"bare-fin":         {noTickets, func(c *tls.Conn) { _ = c.NetConn().Close() }, m.clientTLS(), outcome{Verdict: hbone.VerdictClosed}},
		"foreign-root":     {m.serverTLS(), drain, foreignTLS, outcome{Verdict: hbone.VerdictRefused, Alert: "unknown_ca"}},
		"no-certificate":   {m.serverTLS(), drain, hbone.ClientTLS(nil, m.ca.Verify(serverID)), outcome{Verdict: hbone.VerdictRefused, Alert: "certificate_required"}},
		"own-verification": {m.serverTLS(), drain, hbone.ClientTLS(nil, m.ca.Verify(clientID)), outcome{Verdict: hbone.VerdictUnverified, InHandshake: true}},
		"tls-1.2":          {tls12, drain, client12, outcome{Verdict: hbone.VerdictAccepted, Proof: hbone.ProofHandshake}},
		"tls-1.2-too-old":  {tls12, drain, m.clientTLS(), outcome{Verdict: hbone.VerdictRefused, Alert: "protocol_version", InHandshake: true}},
	} {
		t.Run(name, func(t *testing.T) {
			addr := tlsServer(t, tc.server, tc.then)
			for range 5 {
				got := try(t, addr, tc.client)
				if diff := cmp.Diff(tc.want, outcomeOf(got)); diff != "" {
					t.Errorf("(-want +got), read error %v:\n%s", got.Err, diff)
				}
				if diff := cmp.Diff(tc.want, outcomeOf(listening(t, addr, tc.client))); diff != "" {
					t.Errorf("listening first (-want +got):\n%s", diff)
				}
				if got.State.DidResume {
					t.Error("the session was resumed")
				}
			}
		})
	}
}

func TestAcceptanceOfBrokenServers(t *testing.T) {
	m := newMesh(t)
	t.Run("closes-in-handshake", func(t *testing.T) {
		addr := hbonetest.Listen(t, func(_ context.Context, c net.Conn) { _, _ = c.Read(make([]byte, 1<<16)) })
		if diff := cmp.Diff(outcome{Verdict: hbone.VerdictClosed, InHandshake: true}, outcomeOf(try(t, addr, m.clientTLS()))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("plaintext", func(t *testing.T) {
		addr := hbonetest.Listen(t, func(_ context.Context, c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) })
		got := try(t, addr, m.clientTLS())
		if _, ok := errors.AsType[tls.RecordHeaderError](got.Err); got.Verdict != hbone.VerdictUnknown || !ok {
			t.Errorf("got %v, %v", got.Verdict, got.Err)
		}
	})
	t.Run("mute", func(t *testing.T) {
		addr := hbonetest.Listen(t, func(ctx context.Context, _ net.Conn) { <-ctx.Done() })
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		got := hbone.Acceptor{TLS: m.clientTLS(), Timeout: 50 * time.Millisecond}.Try(t.Context(), conn)
		if got.Verdict != hbone.VerdictUnknown || !errors.Is(got.Err, context.DeadlineExceeded) {
			t.Errorf("got %v, %v", got.Verdict, got.Err)
		}
	})
}

func BenchmarkAcceptance(b *testing.B) {
	m := newMesh(b)
	addr := tlsServer(b, m.serverTLS(), func(c *tls.Conn) { _, _ = io.Copy(io.Discard, c) })
	for b.Loop() {
		if got := try(b, addr, m.clientTLS()); got.Verdict != hbone.VerdictAccepted {
			b.Fatal(got.Verdict, got.Err)
		}
	}
}

// BenchmarkHandshake is what BenchmarkAcceptance costs without its verdict.
func BenchmarkHandshake(b *testing.B) {
	m := newMesh(b)
	addr := tlsServer(b, m.serverTLS(), func(c *tls.Conn) { _, _ = io.Copy(io.Discard, c) })
	for b.Loop() {
		conn, err := (&tls.Dialer{Config: m.clientTLS()}).DialContext(b.Context(), "tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		_ = conn.Close()
	}
}
