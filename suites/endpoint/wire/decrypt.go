// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/cryptobyte"

	"github.com/meshprobe/meshprobe/pkg/hbone"
)

// opener decrypts the records of one direction of one TLS 1.3 epoch, in order
// (RFC 8446 §5.2). A nil opener opens nothing.
type opener struct {
	aead cipher.AEAD
	iv   []byte
	seq  uint64
}

// newOpener derives the traffic keys of a secret; nil where the suite or the
// secret is unknown.
func newOpener(suite uint16, secret []byte) *opener {
	newHash, keyLen := sha256.New, 16
	switch suite {
	case tls.TLS_AES_128_GCM_SHA256:
	case tls.TLS_AES_256_GCM_SHA384:
		newHash, keyLen = sha512.New384, 32
	case tls.TLS_CHACHA20_POLY1305_SHA256:
		keyLen = chacha20poly1305.KeySize
	default:
		return nil
	}
	if len(secret) == 0 {
		return nil
	}
	key, iv := expandLabel(newHash, secret, "key", keyLen), expandLabel(newHash, secret, "iv", 12)
	if key == nil || iv == nil {
		return nil
	}
	if suite == tls.TLS_CHACHA20_POLY1305_SHA256 {
		aead, err := chacha20poly1305.New(key)
		if err != nil {
			return nil
		}
		return &opener{aead: aead, iv: iv}
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil
	}
	return &opener{aead: aead, iv: iv}
}

// expandLabel is HKDF-Expand-Label with an empty context (RFC 8446 §7.1).
func expandLabel(newHash func() hash.Hash, secret []byte, label string, n int) []byte {
	var b cryptobyte.Builder
	b.AddUint16(uint16(n)) //nolint:gosec // G115: 12 to 32
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte("tls13 " + label)) })
	b.AddUint8(0)
	out, err := hkdf.Expand(newHash, secret, string(b.BytesOrPanic()), n)
	if err != nil {
		return nil
	}
	return out
}

// open decrypts one record and gives its inner content type.
func (o *opener) open(r record) (plain []byte, typ byte, ok bool) {
	if o == nil {
		return nil, 0, false
	}
	nonce := make([]byte, len(o.iv))
	binary.BigEndian.PutUint64(nonce[len(nonce)-8:], o.seq)
	for i := range nonce {
		nonce[i] ^= o.iv[i]
	}
	o.seq++
	plain, err := o.aead.Open(nil, nonce, r.payload, r.header)
	if err != nil {
		return nil, 0, false
	}
	for len(plain) > 0 && plain[len(plain)-1] == 0 {
		plain = plain[:len(plain)-1]
	}
	if len(plain) == 0 {
		return nil, 0, false
	}
	return plain[:len(plain)-1], plain[len(plain)-1], true
}

// ownAlert finds the alert that we sent in a handshake, if any: in clear, or
// under the handshake keys of TLS 1.3.
func ownAlert(out []byte, suite uint16, keys *secrets) string {
	var open *opener
	for r := range records(out) {
		body := r.payload
		switch r.typ {
		case recordAlert:
		case recordData:
			if open == nil {
				open = newOpener(suite, keys.of("CLIENT_HANDSHAKE_TRAFFIC_SECRET"))
			}
			plain, typ, ok := open.open(r)
			if !ok || typ != recordAlert {
				continue
			}
			body = plain
		default:
			continue
		}
		if len(body) == 2 && tls.AlertError(body[1]) != 0 {
			return hbone.AlertName(tls.AlertError(body[1]))
		}
	}
	return ""
}
