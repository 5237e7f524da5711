// SPDX-License-Identifier: Apache-2.0

package endpointtest

import (
	"bytes"
	"crypto/tls"
	"encoding/asn1"
	"encoding/pem"
	"slices"
	"testing"
)

// Fields of a TBSCertificate of version 3 (RFC 5280 §4.1).
const (
	fieldVersion = iota
	fieldSerial
	fieldSignature
	fieldIssuer
	fieldValidity
	fieldSubject
	fieldKey
	fieldExtensions
)

// edited is a certificate with one field replaced. Its signature fits no more,
// which nobody gets to see who cannot read it.
func edited(t testing.TB, der []byte, field int, value ...byte) []byte {
	t.Helper()
	parts := sequence(t, der)
	fields := sequence(t, parts[0].FullBytes)
	fields[field] = asn1.RawValue{FullBytes: value}
	parts[0] = asn1.RawValue{FullBytes: marshal(t, fields)}
	return marshal(t, parts)
}

func sequence(t testing.TB, der []byte) []asn1.RawValue {
	t.Helper()
	var out []asn1.RawValue
	if _, err := asn1.Unmarshal(der, &out); err != nil {
		t.Fatalf("endpointtest: %v", err)
	}
	return out
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	der, err := asn1.Marshal(v)
	if err != nil {
		t.Fatalf("endpointtest: %v", err)
	}
	return der
}

// shows is a good server that sends chain.
func shows(m Mesh, chain ...[]byte) Peer {
	cfg := m.config()
	cfg.Certificates = []tls.Certificate{{Certificate: chain, PrivateKey: m.Server.PrivateKey}}
	return serves(cfg)
}

// certificatePeers show certificates that cannot be read, or too much of them.
func certificatePeers(t testing.TB, m Mesh) map[string]Peer {
	t.Helper()
	der := m.Server.Certificate[0]
	edit := func(field int, value ...byte) Peer { return shows(m, edited(t, der, field, value...)) }
	ext := m.Server.Leaf.Extensions[0]
	twice := marshal(t, []any{ext, ext})
	return map[string]Peer{
		"certificate-serial-negative":     edit(fieldSerial, 2, 1, 0xff),
		"certificate-serial-not-minimal":  edit(fieldSerial, 2, 3, 0, 0, 1),
		"certificate-version-9":           edit(fieldVersion, 0xa0, 3, 2, 1, 9),
		"certificate-time-bad":            edit(fieldValidity, append([]byte{0x30, 30}, []byte("\x17\x0d991399246060Z\x17\x0dnot-a-time!!Z")...)...),
		"certificate-key-unknown":         edit(fieldKey, 0x30, 0x0d, 0x30, 7, 6, 5, 0x2a, 3, 4, 5, 6, 3, 2, 0, 1),
		"certificate-curve-unknown":       edit(fieldKey, brainpoolKey(t)...),
		"certificate-rsa-huge":            edit(fieldKey, rsaKey(t, 16<<10)...),
		"certificate-extension-duplicate": edit(fieldExtensions, marshal(t, asn1.RawValue{Class: 2, Tag: 3, IsCompound: true, Bytes: twice})...),
		"certificate-empty":               shows(m, nil),
		"certificate-trailing-data":       shows(m, append(bytes.Clone(der), "more"...)),
		"certificate-truncated":           shows(m, der[:len(der)-7]),
		"certificate-not-der":             shows(m, indefinite(der)),
		"certificate-pem":                 shows(m, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		"certificate-noise":               shows(m, bytes.Repeat([]byte{0x30, 0x80, 0xa5}, 300)),
		"certificate-second-unreadable":   shows(m, der, edited(t, m.CA.Cert.Raw, fieldSerial, 2, 1, 0xff)),
		"certificates-100":                shows(m, slices.Repeat([][]byte{der}, 100)...),
		"certificates-unrelated":          shows(m, der, m.CA.Cert.Raw, der, m.CA.Cert.Raw),
		"certificate-1mib":                oversized(m),
		"certificate-64kib":               shows(m, padded(t, der, 60<<10)),
	}
}

// indefinite is BER of indefinite length.
func indefinite(der []byte) []byte {
	return append(append([]byte{0x30, 0x80}, der[4:]...), 0, 0)
}

// padded is a certificate with ballast of n bytes in its subject.
func padded(t testing.TB, der []byte, n int) []byte {
	t.Helper()
	attribute := struct {
		Type  asn1.ObjectIdentifier
		Value string `asn1:"utf8"`
	}{asn1.ObjectIdentifier{2, 5, 4, 3}, string(bytes.Repeat([]byte("x"), n))}
	set := marshal(t, asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: marshal(t, attribute)})
	return edited(t, der, fieldSubject, marshal(t, []asn1.RawValue{{FullBytes: set}})...)
}

// oversized announces a Certificate message of 1 MiB and sends all of it; a
// certificate that fills it is more than crypto/tls itself would send.
func oversized(m Mesh) Peer {
	const size = 1 << 20
	body := append([]byte{0, (size + 5) >> 16, (size + 5) >> 8 & 0xff, (size + 5) & 0xff, size >> 16, size >> 8 & 0xff, size & 0xff}, make([]byte, size+2)...)
	return instead(m, true, message(msgCertificate, body...))
}

type publicKey struct {
	Algorithm struct {
		Algorithm  asn1.ObjectIdentifier
		Parameters asn1.RawValue
	}
	Key asn1.BitString
}

// brainpoolKey is a public key on a curve that crypto/x509 does not know.
func brainpoolKey(t testing.TB) []byte {
	t.Helper()
	var k publicKey
	k.Algorithm.Algorithm = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	k.Algorithm.Parameters.FullBytes = marshal(t, asn1.ObjectIdentifier{1, 3, 36, 3, 3, 2, 8, 1, 1, 7})
	k.Key = asn1.BitString{Bytes: append([]byte{4}, make([]byte, 64)...), BitLength: 65 * 8}
	return marshal(t, k)
}

// rsaKey is an RSA public key of so many bits.
func rsaKey(t testing.TB, bits int) []byte {
	t.Helper()
	modulus := append([]byte{2, 0x82, byte((bits/8 + 1) >> 8), byte(bits/8 + 1), 0}, bytes.Repeat([]byte{0xc3}, bits/8)...)
	var k publicKey
	k.Algorithm.Algorithm = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	k.Algorithm.Parameters = asn1.NullRawValue
	key := marshal(t, []asn1.RawValue{{FullBytes: modulus}, {FullBytes: []byte{2, 3, 1, 0, 1}}})
	k.Key = asn1.BitString{Bytes: key, BitLength: len(key) * 8}
	return marshal(t, k)
}
