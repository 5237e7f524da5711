// SPDX-License-Identifier: Apache-2.0

package endpointtest

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strconv"
	"testing"
)

// instead speaks TLS 1.3 up to its EncryptedExtensions, which it keeps if keep
// is set, and then sends messages in place of the rest of its flight.
func instead(m Mesh, keep bool, messages ...[]byte) Peer {
	return func(ctx context.Context, conn net.Conn) {
		keys := new(keyLog)
		cfg := m.config()
		cfg.MinVersion, cfg.KeyLogWriter = tls.VersionTLS13, keys
		tampers(cfg, func(flight [][]byte) [][]byte {
			first := len(flight)
			for i, r := range flight {
				if r[0] == typeApplicationData {
					first = i
					break
				}
			}
			var seq uint64
			if keep {
				first, seq = first+1, 1
			}
			s, err := seal13(keys.secret("SERVER_HANDSHAKE_TRAFFIC_SECRET"), seq)
			if err != nil || first > len(flight) {
				return nil
			}
			out := flight[:first:first]
			for _, msg := range messages {
				// One record holds at most 16 KiB (RFC 8446 §5.2).
				for part := range chunks(msg, 1<<14) {
					out = append(out, s.seal(typeHandshake, part...))
				}
			}
			return out
		})(ctx, conn)
	}
}

func chunks(b []byte, size int) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			n := min(size, len(b))
			if !yield(b[:n]) {
				return
			}
			b = b[n:]
		}
	}
}

// flightPeers are wrong in the protected part of their first flight.
func flightPeers(t testing.TB, m Mesh) map[string]Peer {
	t.Helper()
	return map[string]Peer{
		"encrypted-extensions-twice":     instead(m, true, message(msgEncryptedExtensions, 0, 0)),
		"encrypted-extensions-duplicate": instead(m, false, message(msgEncryptedExtensions, 0, 14, 0, 16, 0, 3, 0, 1, 0, 0, 16, 0, 3, 0, 1, 0)),
		"encrypted-extensions-unasked":   instead(m, false, message(msgEncryptedExtensions, 0, 5, 0xfa, 0xfa, 0, 1, 7)),
		"alpn-not-offered":               alpnNotOffered(m),
		"compressed-certificate":         instead(m, true, message(msgCompressedCertificate, bomb(t)...)),
		"handshake-out-of-order":         instead(m, true, message(20, make([]byte, 32)...)),
		"handshake-message-unknown":      instead(m, true, message(200, 1, 2, 3)),
		"ticket-in-handshake":            instead(m, true, message(msgNewSessionTicket, make([]byte, 64)...)),
		"certificate-list-empty":         instead(m, true, message(msgCertificate, 0, 0, 0, 0)),
		"certificate-list-truncated":     instead(m, true, message(msgCertificate, 0, 0, 1, 0, 0, 0, 99, 1)),
		"ca-names-10000":                 caNames(m, 10_000),
		"ca-names-garbage":               caNames(m, 1),
		"ocsp-garbage":                   stapled(m),
		"signature-by-another-key":       wrongKey(t, m),
	}
}

// bomb is a CompressedCertificate (RFC 8879 §4) of 16 MiB of zeros.
func bomb(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	if _, err := w.Write(make([]byte, 1<<24-1)); err != nil {
		t.Fatalf("endpointtest: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatalf("endpointtest: %v", err)
	}
	n := out.Len()
	return append([]byte{0, 1, 0xff, 0xff, 0xff, byte(n >> 16), byte(n >> 8), byte(n)}, out.Bytes()...)
}

func alpnNotOffered(m Mesh) Peer {
	const name = "nobody-offers-this"
	body := []byte{0, byte(len(name) + 7), 0, extALPN, 0, byte(len(name) + 3), 0, byte(len(name) + 1), byte(len(name))}
	return instead(m, false, message(msgEncryptedExtensions, append(body, name...)...))
}

// caNames asks for a certificate of one of so many authorities. Names of two
// bytes are the longest of which 10 000 have room in the extension; one alone
// is no DER at all.
func caNames(m Mesh, count int) Peer {
	cfg := m.config()
	cfg.ClientAuth, cfg.ClientCAs = tls.RequireAnyClientCert, x509.NewCertPool()
	for i := range count {
		name := []byte{0x30, 0}
		if count == 1 {
			name = []byte{0x30, 0x84, 0xff}
		}
		cfg.ClientCAs.AddCert(&x509.Certificate{Raw: []byte(strconv.Itoa(i)), RawSubject: name})
	}
	return serves(cfg)
}

// serves is a server whose only fault is its configuration: it handshakes,
// closes and waits.
func serves(cfg *tls.Config) Peer {
	return func(ctx context.Context, conn net.Conn) {
		tc := tls.Server(conn, cfg)
		if tc.HandshakeContext(ctx) == nil {
			_ = tc.CloseWrite()
		}
		drain(conn)
	}
}

func stapled(m Mesh) Peer {
	cfg := m.config()
	cfg.Certificates[0].OCSPStaple = bytes.Repeat([]byte("no OCSP response "), 100)
	cfg.Certificates[0].SignedCertificateTimestamps = [][]byte{[]byte("no SCT")}
	return serves(cfg)
}

// wrongKey shows a certificate that belongs to another key.
func wrongKey(t testing.TB, m Mesh) Peer {
	t.Helper()
	cfg := m.config()
	other := m.CA.Issue(t, "spiffe://cluster.local/ns/other/sa/other")
	cfg.Certificates[0].PrivateKey = other.PrivateKey
	return serves(cfg)
}
