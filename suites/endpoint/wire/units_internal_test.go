// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ocsp"
)

// TestExpandLabel derives the keys of RFC 8448 §3, server handshake.
func TestExpandLabel(t *testing.T) {
	secret, _ := hex.DecodeString("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38")
	for label, want := range map[string]string{"key": "3fce516009c21727d0f2e4e86ee403bc", "iv": "5d313eb2671276ee13000b30"} {
		if got := hex.EncodeToString(expandLabel(sha256.New, secret, label, len(want)/2)); got != want {
			t.Errorf("%s: %s, want %s", label, got, want)
		}
	}
}

// TestBudget stands still while it is paused.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, b, stop := spend(t.Context(), time.Minute)
		defer stop()
		time.Sleep(20 * time.Second)
		b.pause()
		time.Sleep(time.Hour)
		if ctx.Err() != nil || b.remaining() != 40*time.Second {
			t.Fatalf("paused: %v, %v left", ctx.Err(), b.remaining())
		}
		b.resume()
		time.Sleep(39 * time.Second)
		synctest.Wait()
		if ctx.Err() != nil {
			t.Fatal("ended early")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if cause := context.Cause(ctx); !errors.Is(cause, context.DeadlineExceeded) || !strings.Contains(cause.Error(), "1m0s") {
			t.Fatalf("cause %v", cause)
		}
	})
}

// TestGate lets one compute while others wait for bytes, and closes cleanly.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, clock, stop := spend(t.Context(), time.Hour)
		defer stop()
		g := NewGate(1)
		a, peerA := net.Pipe()
		b, peerB := net.Pipe()
		first := g.through(ctx, clock, a)
		entered := make(chan net.Conn)
		go func() { entered <- g.through(ctx, clock, b) }()
		synctest.Wait()
		select {
		case <-entered:
			t.Fatal("two hold one slot")
		default:
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = first.Read(make([]byte, 1)) // waits, without the slot
		}()
		second := <-entered
		_, _ = peerA.Write([]byte("x")) // first is ready, and waits for the slot
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("two hold one slot")
		default:
		}
		_ = second.Close()
		<-done
		_ = first.Close()
		_, _ = peerA.Close(), peerB.Close()
		if len(g.slots) != 0 {
			t.Errorf("%d slots were not given back", len(g.slots))
		}
	})
}

// TestClosedAtGate gives up a wait for the slot when the connection is closed.
func TestClosedAtGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, clock, stop := spend(t.Context(), time.Hour)
		defer stop()
		g := NewGate(1)
		g.slots <- struct{}{}
		a, peer := net.Pipe()
		c := &gated{Conn: a, gate: g, ctx: ctx, clock: clock, closed: make(chan struct{})}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = c.Read(make([]byte, 1))
		}()
		_, _ = peer.Write([]byte("x"))
		synctest.Wait()
		_ = c.Close()
		<-done
		_ = peer.Close()
		<-g.slots
		if len(g.slots) != 0 {
			t.Error("a closed connection holds a slot")
		}
	})
}

// TestScavenge reads the same as crypto/x509 where that can read at all.
func TestScavenge(t *testing.T) {
	cert := certificate(t)
	want := readCertificate(cert.Raw)
	if want.Error != "" || want.SPKI == "" || len(want.URIs) != 1 || len(want.IPs) != 1 || len(want.DNS) != 1 || !want.CA {
		t.Fatalf("%+v", want)
	}
	got := scavenge(cert.Raw)
	got.SHA256, got.Bytes, got.Key = want.SHA256, want.Bytes, strings.Replace(got.Key, "EC ", "ECDSA ", 1)
	// The order of names in a string is crypto/x509's own.
	got.Subject, got.Issuer = want.Subject, want.Issuer
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if s := scavenge(cert.Raw).Subject; !strings.Contains(s, "CN=inter") || !strings.Contains(s, "O=mesh") {
		t.Errorf("subject %q", s)
	}
	for n, where := range map[int]string{0: "certificate", 3: "certificate", len(cert.Raw) - 1: "certificate"} {
		if got := readCertificate(cert.Raw[:n]); !strings.HasSuffix(got.Where, where) || got.Error == "" {
			t.Errorf("cut at %d: %q, %q", n, got.Where, got.Error)
		}
	}
}

// TestOCSP reads the status of a stapled response.
func TestOCSP(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := certificate(t)
	at := time.Now().UTC().Truncate(time.Second)
	for status, want := range map[int]string{ocsp.Good: "good", ocsp.Revoked: "revoked", ocsp.Unknown: "unknown"} {
		der, err := ocsp.CreateResponse(cert, cert, ocsp.Response{
			Status: status, SerialNumber: cert.SerialNumber, ThisUpdate: at, NextUpdate: at.Add(time.Hour), RevokedAt: at,
		}, key)
		if err != nil {
			t.Fatal(err)
		}
		got := readOCSP(der)
		if got.Status != want || !got.ThisUpdate.Equal(at) || !got.NextUpdate.Equal(at.Add(time.Hour)) || got.RevokedAt.IsZero() == (want == "revoked") {
			t.Errorf("%+v, want %s", got, want)
		}
	}
	if readOCSP(nil) != nil {
		t.Error("a response out of nothing")
	}
}

func certificate(t testing.TB) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(4711), Subject: pkix.Name{CommonName: "inter", Organization: []string{"mesh"}},
		NotBefore: time.Unix(1e9, 0), NotAfter: time.Unix(3e9, 0), IsCA: true, BasicConstraintsValid: true,
		SubjectKeyId: []byte{1, 2, 3}, DNSNames: []string{"istiod.istio-system.svc"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1).To4()},
		URIs: []*url.URL{{Scheme: "spiffe", Host: "cluster.local", Path: "/ns/a/sa/b"}}, EmailAddresses: []string{"a@example"},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// FuzzClassify holds that any bytes get one answer that a terminal survives.
func FuzzClassify(f *testing.F) {
	for _, s := range []string{
		"", "\x16\x03\x01\x00\x05hello", "\x15\x03\x03\x00\x02\x02\x28", "HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n", "SSH-2.0-x\n",
		"PROXY TCP4 1 2 3 4\r\n", "\r\n\r\n\x00\r\nQUIT\n\x21", "220 hello\r\n", "+OK\r\n", "<HTML>", "\x00\x00\x00\x04\x00\x00\x00\x00\x00", "\x1b[2J",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a := classify(b, PromptHello)
		if a.Protocol == ProtocolNone || (len(b) == 0) != (a.Protocol == ProtocolSilence) {
			t.Errorf("%q is %q", b, a.Protocol)
		}
		for _, s := range []string{a.Line, a.Server, a.Alert} {
			if len(s) > 4*maxText+len("…") || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("%q of %d bytes", s, len(s))
			}
		}
	})
}

// FuzzScavenge holds that any bytes can be read as a certificate, as far as
// they go.
func FuzzScavenge(f *testing.F) {
	f.Add(certificate(f).Raw)
	f.Add([]byte{0x30, 0x80})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, der []byte) {
		c := readCertificate(der)
		if c.SHA256 == "" || c.Bytes != len(der) || c.Error == "" && c.Where != "" {
			t.Errorf("%+v", c)
		}
		if len(c.URIs) > maxNames || len(c.DNS) > maxNames || len(c.Subject) > maxNames*(4*maxText+64) {
			t.Errorf("not bounded: %+v", c)
		}
	})
}

// FuzzTranscript holds that any bytes of a server can be read, with any
// secret, and that what is kept is bounded.
func FuzzTranscript(f *testing.F) {
	hello := "\x02\x00\x00\x28\x03\x03" + retryRandom + "\x00\x13\x01\x00\x00\x00"
	f.Add([]byte("\x16\x03\x03\x00\x2c"+hello), []byte("secret"))
	f.Add([]byte("\x16\x03\x03\x00\x0a\x0b\x00\x00\x06\x00\x00\x03\x00\x00\x00"), []byte{})
	f.Add([]byte("\x15\x03\x03\x00\x02\x02\x28"), []byte{})
	f.Fuzz(func(t *testing.T, in, secret []byte) {
		keys := &secrets{}
		for _, label := range []string{"SERVER_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_HANDSHAKE_TRAFFIC_SECRET"} {
			_, _ = keys.Write([]byte(label + " 00 " + hex.EncodeToString(secret)))
		}
		r := readServer(in, keys)
		total := 0
		for _, c := range r.certs {
			total += len(c)
		}
		if len(r.certs) > maxCertificates || total > maxChain || len(r.messages) > maxMessages+1 || len(r.authorities) > maxNames {
			t.Errorf("%d certificates of %d bytes, %d messages", len(r.certs), total, len(r.messages))
		}
		_ = ownAlert(in, r.cipher, keys)
	})
}
