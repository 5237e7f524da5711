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

// said is what a server says, sealed, when it should be content.
type said func(s *sealer) []byte

// afterwards is a good server of TLS 1.3 until it has sent its Finished. Behind
// that, in the same flight, so that no client can be done before it came, goes
// what first says; if endless is set, it goes on and on.
func afterwards(m Mesh, endless bool, first said) Peer {
	return func(ctx context.Context, conn net.Conn) {
		keys := new(keyLog)
		cfg := m.config()
		cfg.MinVersion, cfg.KeyLogWriter = tls.VersionTLS13, keys
		var s *sealer
		under := &tampered{Conn: conn, edit: func(flight [][]byte) [][]byte {
			var err error
			if s, err = seal13(keys.secret("SERVER_TRAFFIC_SECRET_0"), 0); err != nil {
				return nil
			}
			return [][]byte{bytes.Join(append(flight, first(s)), nil)}
		}}
		if tls.Server(under, cfg).HandshakeContext(ctx) == nil && endless {
			repeat(func() error {
				_, err := conn.Write(first(s))
				return err
			})
		}
		drain(conn)
	}
}

// afterwards12 is afterwards with TLS 1.2, where what is said comes on its own.
func afterwards12(m Mesh, endless bool, say said) Peer {
	return func(ctx context.Context, conn net.Conn) {
		keys := new(keyLog)
		cfg := m.tls12()
		cfg.KeyLogWriter = keys
		seen := &tampered{Conn: conn}
		if tls.Server(seen, cfg).HandshakeContext(ctx) != nil {
			return
		}
		s, err := seal12(keys.secret("CLIENT_RANDOM"), keys.client, seen.flight[11:43])
		for err == nil {
			if _, err = conn.Write(say(s)); !endless {
				break
			}
		}
		drain(conn)
	}
}

// batch seals the same message 64 times.
func batch(kind byte, payload ...byte) said {
	return func(s *sealer) []byte {
		var out []byte
		for range 1 << 6 {
			out = append(out, s.seal(kind, payload...)...)
		}
		return out
	}
}

// once seals one message.
func once(kind byte, payload ...byte) said {
	return func(s *sealer) []byte { return s.seal(kind, payload...) }
}

// sealedPeers turn hostile when the handshake is over.
func sealedPeers(m Mesh) map[string]Peer {
	ticket := message(msgNewSessionTicket, append([]byte{0, 1, 81, 128, 1, 2, 3, 4, 1, 9, 0, 200}, make([]byte, 200+2)...)...)
	return map[string]Peer{
		"key-update-flood":          afterwards(m, true, keyUpdates),
		"key-update-bad":            afterwards(m, false, once(typeHandshake, message(msgKeyUpdate, 7)...)),
		"session-ticket-flood":      afterwards(m, true, batch(typeHandshake, ticket...)),
		"warning-alerts-sealed":     afterwards(m, true, batch(typeAlert, 1, 90)),
		"empty-records-sealed":      afterwards(m, true, batch(typeApplicationData)),
		"endless-data":              afterwards(m, true, batch(typeApplicationData, bytes.Repeat([]byte{'x'}, 1<<14)...)),
		"certificate-asked-later":   afterwards(m, false, once(typeHandshake, message(msgCertificateRequest, 0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 3)...)),
		"hello-request-sealed":      afterwards(m, false, once(typeHandshake, message(0)...)),
		"ccs-sealed":                afterwards(m, false, once(typeChangeCipherSpec, 1)),
		"record-forged":             afterwards(m, false, func(s *sealer) []byte { s.seq = 99; return s.seal(typeApplicationData, 'x') }),
		"record-too-long-sealed":    afterwards(m, false, once(typeApplicationData, make([]byte, 1<<14+2)...)),
		"alert-access-denied-later": afterwards(m, false, once(typeAlert, 2, 49)),
		"renegotiation":             afterwards12(m, false, once(typeHandshake, message(0)...)),
		"renegotiation-flood":       afterwards12(m, true, batch(typeHandshake, message(0)...)),
		"warning-alerts-tls12":      afterwards12(m, true, batch(typeAlert, 1, 90)),
		"mute-after-tls":            afterwards(m, false, func(*sealer) []byte { return nil }),
	}
}

// keyUpdates asks for a new key 64 times in a record. Its own key stays: the
// client has had enough before the second one is used.
func keyUpdates(s *sealer) []byte {
	var all []byte
	for range 1 << 6 {
		all = append(all, message(msgKeyUpdate, 1)...)
	}
	return s.seal(typeHandshake, all...)
}
