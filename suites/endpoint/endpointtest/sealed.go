// SPDX-License-Identifier: Apache-2.0

package endpointtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
)

// Handshake messages (RFC 8446 §4).
const (
	msgNewSessionTicket      = 4
	msgEncryptedExtensions   = 8
	msgCertificate           = 11
	msgCertificateRequest    = 13
	msgKeyUpdate             = 24
	msgCompressedCertificate = 25
)

// afterwards finishes a handshake of TLS 1.3 as a good server would and goes on
// with say, which writes what it wants, sealed.
func afterwards(m Mesh, say func(conn net.Conn, s *sealer)) Peer {
	return func(ctx context.Context, conn net.Conn) {
		keys := new(keyLog)
		cfg := m.config()
		cfg.MinVersion, cfg.KeyLogWriter = tls.VersionTLS13, keys
		if tls.Server(conn, cfg).HandshakeContext(ctx) != nil {
			return
		}
		if s, err := seal13(keys.secret("SERVER_TRAFFIC_SECRET_0"), 0); err == nil {
			say(conn, s)
		}
		drain(conn)
	}
}

// afterwards12 is afterwards with TLS 1.2.
func afterwards12(m Mesh, say func(conn net.Conn, s *sealer)) Peer {
	return func(ctx context.Context, conn net.Conn) {
		keys := new(keyLog)
		cfg := m.tls12()
		cfg.KeyLogWriter = keys
		seen := &tampered{Conn: conn}
		if tls.Server(seen, cfg).HandshakeContext(ctx) != nil {
			return
		}
		if s, err := seal12(keys.secret("CLIENT_RANDOM"), keys.client, seen.flight[11:43]); err == nil {
			say(conn, s)
		}
		drain(conn)
	}
}

// repeats seals the same message again and again.
func repeats(kind byte, payload ...byte) func(net.Conn, *sealer) {
	return func(conn net.Conn, s *sealer) {
		for {
			var batch []byte
			for range 1 << 6 {
				batch = append(batch, s.seal(kind, payload...)...)
			}
			if _, err := conn.Write(batch); err != nil {
				return
			}
		}
	}
}

// once seals one message.
func once(kind byte, payload ...byte) func(net.Conn, *sealer) {
	return func(conn net.Conn, s *sealer) { _, _ = conn.Write(s.seal(kind, payload...)) }
}

// sealedPeers turn hostile when the handshake is over.
func sealedPeers(m Mesh) map[string]Peer {
	ticket := message(msgNewSessionTicket, append([]byte{0, 1, 81, 128, 1, 2, 3, 4, 1, 9, 0, 200}, make([]byte, 200+2)...)...)
	return map[string]Peer{
		"key-update-flood":          afterwards(m, keyUpdates),
		"key-update-bad":            afterwards(m, once(typeHandshake, message(msgKeyUpdate, 7)...)),
		"session-ticket-flood":      afterwards(m, repeats(typeHandshake, ticket...)),
		"warning-alerts-sealed":     afterwards(m, repeats(typeAlert, 1, 90)),
		"empty-records-sealed":      afterwards(m, repeats(typeApplicationData)),
		"endless-data":              afterwards(m, repeats(typeApplicationData, bytes.Repeat([]byte{'x'}, 1<<14)...)),
		"certificate-asked-later":   afterwards(m, once(typeHandshake, message(msgCertificateRequest, 0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 3)...)),
		"hello-request-sealed":      afterwards(m, once(typeHandshake, message(0)...)),
		"ccs-sealed":                afterwards(m, once(typeChangeCipherSpec, 1)),
		"record-forged":             afterwards(m, func(conn net.Conn, s *sealer) { s.seq = 99; _, _ = conn.Write(s.seal(typeApplicationData, 'x')) }),
		"record-too-long-sealed":    afterwards(m, once(typeApplicationData, make([]byte, 1<<14+2)...)),
		"alert-access-denied-later": afterwards(m, once(typeAlert, 2, 49)),
		"renegotiation":             afterwards12(m, once(typeHandshake, message(0)...)),
		"renegotiation-flood":       afterwards12(m, repeats(typeHandshake, message(0)...)),
		"warning-alerts-tls12":      afterwards12(m, repeats(typeAlert, 1, 90)),
		"mute-after-tls":            afterwards(m, func(net.Conn, *sealer) {}),
		"never-ending-close":        afterwards(m, neverCloses),
	}
}

// keyUpdates asks for a new key as often as it can. Its own key stays: the
// client stops before the second one is used, or is not bounded.
func keyUpdates(conn net.Conn, s *sealer) {
	var batch []byte
	for range 1 << 6 {
		batch = append(batch, message(msgKeyUpdate, 1)...)
	}
	floods(conn, s.seal(typeHandshake, batch...))
}

// neverCloses says close_notify without end and keeps the connection.
func neverCloses(conn net.Conn, s *sealer) {
	drain(conn) // until the client has half closed
	repeats(typeAlert, 1, 0)(conn, s)
}
