// SPDX-License-Identifier: Apache-2.0

package endpointtest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
	"sync"
)

// keyLog keeps the secrets of one connection, by their NSS key log label.
type keyLog struct {
	mu      sync.Mutex
	secrets map[string][]byte
	client  []byte // ClientHello.random
}

// Write takes one line of a key log.
func (k *keyLog) Write(line []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if f := strings.Fields(string(line)); len(f) == 3 {
		secret, err := hex.DecodeString(f[2])
		if err != nil {
			return 0, err
		}
		if k.secrets == nil {
			k.secrets = map[string][]byte{}
		}
		k.secrets[f[0]] = secret
		k.client, _ = hex.DecodeString(f[1])
	}
	return len(line), nil
}

func (k *keyLog) secret(label string) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.secrets[label]
}

// sealer protects records of a server, as crypto/tls would.
type sealer struct {
	aead  cipher.AEAD
	iv    []byte // of 12 bytes with TLS 1.3, 4 with TLS 1.2
	seq   uint64
	tls12 bool
}

// seal protects one record. Not for concurrent use.
func (s *sealer) seal(kind byte, payload ...byte) []byte {
	seq := binary.BigEndian.AppendUint64(nil, s.seq)
	s.seq++
	if s.tls12 {
		head := record(kind, 0x0303, payload...)[:5]
		out := s.aead.Seal(seq, append(append([]byte(nil), s.iv...), seq...), payload, append(append([]byte(nil), seq...), head...))
		return record(kind, 0x0303, out...)
	}
	nonce := append([]byte(nil), s.iv...)
	for i, b := range seq {
		nonce[4+i] ^= b
	}
	inner := append(append([]byte(nil), payload...), kind)
	head := record(typeApplicationData, 0x0303, make([]byte, len(inner)+s.aead.Overhead())...)[:5]
	return append(head, s.aead.Seal(nil, nonce, inner, head)...)
}

// seal13 is a sealer from a traffic secret of TLS 1.3 with AES-GCM, seq records
// into its use (RFC 8446 §7.3).
func seal13(secret []byte, seq uint64) (*sealer, error) {
	var h func() hash.Hash
	size := 16
	switch len(secret) {
	case sha256.Size:
		h = sha256.New
	case sha512.Size384:
		h, size = sha512.New384, 32
	default:
		return nil, fmt.Errorf("a secret of %d bytes", len(secret))
	}
	key, err := expandLabel(h, secret, "key", size)
	if err != nil {
		return nil, err
	}
	iv, err := expandLabel(h, secret, "iv", 12)
	if err != nil {
		return nil, err
	}
	return sealWith(key, iv, seq, false)
}

func expandLabel(h func() hash.Hash, secret []byte, label string, size int) ([]byte, error) {
	label = "tls13 " + label
	info := append([]byte{byte(size >> 8), byte(size), byte(len(label))}, label...)
	return hkdf.Expand(h, secret, string(append(info, 0)), size)
}

// seal12 is a sealer from the master secret of TLS 1.2 with
// ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, behind Finished (RFC 5246 §6.3).
func seal12(master, client, server []byte) (*sealer, error) {
	seed := append(append([]byte("key expansion"), server...), client...)
	sum := func(parts ...[]byte) []byte {
		mac := hmac.New(sha256.New, master)
		for _, p := range parts {
			_, _ = mac.Write(p)
		}
		return mac.Sum(nil)
	}
	var block []byte
	for a := sum(seed); len(block) < 40; a = sum(a) {
		block = append(block, sum(a, seed)...)
	}
	return sealWith(block[16:32], block[36:40], 1, true)
}

func sealWith(key, iv []byte, seq uint64, tls12 bool) (*sealer, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &sealer{aead: aead, iv: iv, seq: seq, tls12: tls12}, nil
}
