// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"iter"
	"strings"
	"sync"

	"golang.org/x/crypto/cryptobyte"
)

// Handshake message types (RFC 8446 §4, RFC 5246 §7.4, RFC 6066 §8).
const (
	msgServerHello         = 2
	msgEncryptedExtensions = 8
	msgCertificate         = 11
	msgServerKeyExchange   = 12
	msgCertificateRequest  = 13
	msgServerHelloDone     = 14
	msgFinished            = 20
	msgCertificateStatus   = 22
)

// maxMessages bounds how many handshake messages are named.
const maxMessages = 32

// secrets takes the key log of one handshake and keeps it in memory, so that
// what crypto/tls does not pass on can be read from the wire all the same: it
// gives no DER of a certificate that it cannot parse, and no word of the alert
// that it sent. They are let go of with the tap.
type secrets struct {
	mu     sync.Mutex
	labels map[string][]byte
}

// Write takes one line of a key log: label, client random, secret.
func (s *secrets) Write(line []byte) (int, error) {
	f := strings.Fields(string(line))
	if len(f) != 3 {
		return len(line), nil
	}
	secret, err := hex.DecodeString(f[2])
	if err != nil {
		return len(line), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.labels == nil {
		s.labels = map[string][]byte{}
	}
	s.labels[f[0]] = secret
	return len(line), nil
}

func (s *secrets) of(label string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.labels[label]
}

// record is one TLS record.
type record struct {
	typ     byte
	header  []byte
	payload []byte // shorter than announced where no more came
}

// records splits what crossed the wire.
func records(b []byte) iter.Seq[record] {
	return func(yield func(record) bool) {
		for len(b) >= recordHeader {
			n := int(b[3])<<8 | int(b[4])
			r := record{typ: b[0], header: b[:recordHeader], payload: b[recordHeader:min(len(b), recordHeader+n)]}
			b = b[recordHeader+len(r.payload):]
			if !yield(r) || len(r.payload) < n {
				return
			}
		}
	}
}

// reading is what could be read of a server's side of a handshake that
// crypto/tls did not finish.
type reading struct {
	messages    []string
	version     uint16
	cipher      uint16
	group       tls.CurveID
	alpn        string
	retried     bool
	asked       bool
	authorities [][]byte
	signatures  []tls.SignatureScheme
	certs       [][]byte
	cut         bool
	ocsp        []byte
	scts        int
}

// readServer reads the server's records: in clear as far as they are, and
// decrypted with the handshake secret under TLS 1.3. It is total.
func readServer(in []byte, keys *secrets) reading {
	var r reading
	var pending []byte
	var open *opener
	for rec := range records(in) {
		plain := rec.payload
		switch {
		case rec.typ == recordHandshake:
		case rec.typ == recordCCS && r.version != tls.VersionTLS13 && r.version != 0:
			return r // TLS 1.2: what follows is encrypted with keys that nobody needs
		case rec.typ == recordData && r.version == tls.VersionTLS13:
			if open == nil {
				open = newOpener(r.cipher, keys.of("SERVER_HANDSHAKE_TRAFFIC_SECRET"))
			}
			inner, typ, ok := open.open(rec)
			if !ok || typ != recordHandshake {
				return r
			}
			plain = inner
		default:
			continue
		}
		var done bool
		if pending, done = r.take(append(pending, plain...)); done {
			return r
		}
	}
	r.rest(pending)
	return r
}

// take reads whole messages and returns what is left of b.
func (r *reading) take(b []byte) (rest []byte, done bool) {
	for len(b) >= 4 {
		n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		if len(b) < 4+n {
			break
		}
		r.message(b[0], b[4:4+n])
		if b[0] == msgFinished || b[0] == msgServerHelloDone {
			return nil, true
		}
		b = b[4+n:]
	}
	return b, false
}

// rest reads the beginning of a message that did not come to its end.
func (r *reading) rest(b []byte) {
	if len(b) < 4 {
		return
	}
	r.name(b[0], " (cut)")
	if b[0] == msgCertificate {
		r.cut = true
		r.certificate(b[4:])
	}
}

func (r *reading) name(typ byte, suffix string) {
	if len(r.messages) < maxMessages {
		r.messages = append(r.messages, messageName(typ)+suffix)
	}
}

func (r *reading) message(typ byte, body []byte) {
	retried := r.retried
	switch typ {
	case msgServerHello:
		r.serverHello(body)
	case msgEncryptedExtensions:
		r.encryptedExtensions(body)
	case msgCertificate:
		r.certificate(body)
	case msgServerKeyExchange:
		r.serverKeyExchange(body)
	case msgCertificateRequest:
		r.certificateRequest(body)
	case msgCertificateStatus:
		r.ocsp = ocspOf(body)
	}
	if r.retried && !retried {
		r.messages = append(r.messages, "HelloRetryRequest")
		return
	}
	r.name(typ, "")
}

// certificate reads the certificate list, whole or cut: what is there of the
// last one is kept.
func (r *reading) certificate(body []byte) {
	s := cryptobyte.String(body)
	if r.version == tls.VersionTLS13 {
		var context cryptobyte.String
		if !s.ReadUint8LengthPrefixed(&context) {
			return
		}
	}
	if !s.Skip(3) {
		return
	}
	total := 0
	for len(s) > 3 {
		n := int(s[0])<<16 | int(s[1])<<8 | int(s[2])
		s = s[3:]
		if n > len(s) {
			n, r.cut = len(s), true
		}
		if total += n; len(r.certs) >= maxCertificates || total > maxChain {
			r.cut = true
			return
		}
		r.certs = append(r.certs, bytes.Clone(s[:n]))
		s = s[n:]
		if r.version == tls.VersionTLS13 {
			var exts cryptobyte.String
			if !s.ReadUint16LengthPrefixed(&exts) {
				return
			}
			if len(r.certs) == 1 {
				r.leafExtensions(exts)
			}
		}
	}
}
