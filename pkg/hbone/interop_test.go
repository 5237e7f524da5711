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
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
)

func portOf(t *testing.T, addr string) int {
	t.Helper()
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return int(a.Port())
}

// clients are the two of each test: the control and the one to be refused.
func clients(t *testing.T, m *mesh) (good, foreign, none *tls.Config) {
	t.Helper()
	cert := hbonetest.NewCA(t, "other.local").Issue(t, clientID)
	foreign = hbone.ClientTLS(func() (*tls.Certificate, error) { return &cert, nil }, m.ca.Verify(serverID))
	return m.clientTLS(), foreign, hbone.ClientTLS(nil, m.ca.Verify(serverID))
}

func TestAcceptanceOfOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	m := newMesh(t)
	files := m.ca.Write(t, m.server)
	addr := hbonetest.Loopback(hbonetest.FreePort(t))
	hbonetest.Run(t, openssl, "s_server", "-accept", addr, "-tls1_3", "-cert", files.Cert, "-key", files.Key,
		"-CAfile", files.Root, "-Verify", "3", "-verify_return_error", "-alpn", "h2", "-quiet", "-num_tickets", "0").Listens(t, addr)
	good, foreign, none := clients(t, m)
	for range 3 {
		if diff := cmp.Diff(outcome{Verdict: hbone.VerdictAccepted, Proof: hbone.ProofCloseNotify}, outcomeOf(try(t, addr, good))); diff != "" {
			t.Errorf("good certificate (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(outcome{Verdict: hbone.VerdictRefused, Alert: "unknown_ca"}, outcomeOf(try(t, addr, foreign))); diff != "" {
			t.Errorf("foreign certificate (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(outcome{Verdict: hbone.VerdictRefused, Alert: "certificate_required"}, outcomeOf(try(t, addr, none))); diff != "" {
			t.Errorf("no certificate (-want +got):\n%s", diff)
		}
	}
	// s_server knows no HTTP/2: the handshake is accepted and SETTINGS are missing.
	_, err = (&hbone.Dialer{TLS: good, Timeout: 300 * time.Millisecond}).Connect(t.Context(), addr)
	if he, ok := errors.AsType[*hbone.Error](err); !ok || he.Phase != hbone.PhaseSettings || !errors.Is(err, hbone.ErrNoSettings) {
		t.Errorf("HBONE to s_server: %v, want missing SETTINGS", err)
	}
}

// ports are those of testdata/envoy.yaml, by the name they have there.
type ports map[string]int

// envoy runs one with the given ports and returns when "HBONE" listens.
func envoy(t *testing.T, m *mesh, set ports) {
	t.Helper()
	path := hbonetest.EnvoyPath(t)
	files := m.ca.Write(t, m.server)
	template, err := os.ReadFile("testdata/envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "envoy.yaml")
	fill := []string{"@CERT@", files.Cert, "@KEY@", files.Key, "@ROOT@", files.Root}
	for _, name := range []string{"HBONE", "TCP", "ORIGINATE", "UPSTREAM", "SERVER", "DEAD"} {
		if set[name] == 0 {
			set[name] = hbonetest.FreePort(t)
		}
		fill = append(fill, "@"+name+"@", strconv.Itoa(set[name]))
	}
	text := strings.NewReplacer(fill...).Replace(string(template))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	hbonetest.Run(t, path, "-c", config, "--concurrency", "1", "--disable-hot-restart", "-l", "warning").
		Listens(t, hbonetest.Loopback(set["HBONE"]))
}

func TestEnvoyTerminatesHBONE(t *testing.T) {
	hbonetest.EnvoyPath(t)
	m := newMesh(t)
	upstream := hbonetest.Listen(t, func(_ context.Context, c net.Conn) { _, _ = io.Copy(c, c); _ = c.(*net.TCPConn).CloseWrite() })
	set := ports{"UPSTREAM": portOf(t, upstream)}
	envoy(t, m, set)
	addr := hbonetest.Loopback(set["HBONE"])
	good, foreign, none := clients(t, m)

	d := &hbone.Dialer{TLS: good}
	defer d.Close()
	t.Run("tunnels", func(t *testing.T) {
		for range 3 {
			c, err := d.DialContext(t.Context(), addr, "echo.shop:80")
			if err != nil {
				t.Fatal(err)
			}
			roundTrip(t, c, bytes.Repeat([]byte("envoy"), 1<<20))
			if got := c.Session().Settings().MaxConcurrentStreams; got != 100 {
				t.Errorf("Envoy allows %d streams, want 100", got)
			}
			_ = c.Close()
		}
	})
	status := func(authority string, want int) {
		t.Helper()
		_, err := d.DialContext(t.Context(), addr, authority)
		if he, ok := errors.AsType[*hbone.Error](err); !ok || he.Status != want || he.Header.Get("server") != "envoy" {
			t.Errorf("%s: %v, want status %d of envoy", authority, err, want)
		}
	}
	t.Run("statuses", func(t *testing.T) {
		status("unknown.shop:80", http.StatusNotFound)
		status("denied.shop:80", http.StatusForbidden)
		status("dead.shop:80", http.StatusServiceUnavailable)
	})
	t.Run("alerts", func(t *testing.T) {
		for alert, cfg := range map[string]*tls.Config{"unknown_ca": foreign, "certificate_required": none} {
			_, err := (&hbone.Dialer{TLS: cfg}).Connect(t.Context(), addr)
			he, ok := errors.AsType[*hbone.Error](err)
			if got, _ := hbone.RemoteAlert(err); !ok || he.Phase != hbone.PhaseHandshake || hbone.AlertName(got) != alert {
				t.Errorf("got %v, want %s of the handshake", err, alert)
			}
		}
	})
	t.Run("acceptance", func(t *testing.T) {
		accepted := outcome{Verdict: hbone.VerdictAccepted}
		for a, addr := range map[string]string{"http": addr, "tcp": hbonetest.Loopback(set["TCP"])} {
			got := outcomeOf(try(t, addr, good))
			got.Proof = hbone.ProofNone // BoringSSL sends its tickets together with its close_notify
			if diff := cmp.Diff(accepted, got); diff != "" {
				t.Errorf("%s, good certificate (-want +got):\n%s", a, diff)
			}
			if diff := cmp.Diff(outcome{Verdict: hbone.VerdictRefused, Alert: "unknown_ca"}, outcomeOf(try(t, addr, foreign))); diff != "" {
				t.Errorf("%s, foreign certificate (-want +got):\n%s", a, diff)
			}
		}
	})
}

func TestEnvoyOriginatesHBONE(t *testing.T) {
	hbonetest.EnvoyPath(t)
	m := newMesh(t)
	seen := make(chan string, 8)
	server := serve(t, &hbone.Server{TLS: m.serverTLS(), Handler: func(_ context.Context, r *hbone.Request) hbone.Answer {
		seen <- r.Authority + " " + r.TLS.PeerCertificates[0].URIs[0].String()
		return hbone.Answer{Serve: echo}
	}})
	set := ports{"SERVER": portOf(t, server)}
	envoy(t, m, set)
	for range 3 {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", hbonetest.Loopback(set["ORIGINATE"]))
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Repeat([]byte("envoy"), 1<<20)
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = conn.Write(want)
			_ = conn.(*net.TCPConn).CloseWrite()
		})
		got, err := io.ReadAll(conn)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("read %d bytes of %d: %v", len(got), len(want), err)
		}
		wg.Wait()
		_ = conn.Close()
		if diff := cmp.Diff("echo.shop:80 "+serverID, <-seen); diff != "" {
			t.Errorf("authority and identity (-want +got):\n%s", diff)
		}
	}
}
