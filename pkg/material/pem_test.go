// SPDX-License-Identifier: Apache-2.0

package material_test

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/meshprobe/meshprobe/pkg/material"
)

func spki(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// keyOf is the key of a certificate as expected.
func keyOf(c *x509.Certificate, entry string, line int, encoding string, matches *bool) *material.Key {
	return &material.Key{Entry: entry, Line: line, Encoding: encoding, Type: "ECDSA P-256", SPKI: spki(c), Matches: matches}
}

func TestPEM(t *testing.T) {
	p := newPKI()
	leaf, inter, root := certs(p.leaf), certs(p.inter), certs(p.root)
	lines := func(text string) int { return strings.Count(text, "\n") }
	chain := []material.Certificate{p.c(p.leaf, "", 1), p.c(p.inter, "", 1+lines(leaf))}
	bundle := func(line int, problems ...material.Problem) []material.Document {
		return []material.Document{{Kind: material.KindBundle, Roots: []material.Certificate{p.c(p.root, "", line)}, Problems: problems}}
	}
	joined := strings.TrimSpace(root) + certs(p.other)
	check(t, []input{
		{name: "chain", content: leaf + inter, want: []material.Document{{Kind: material.KindChain, Certificates: chain}}},
		{name: "chain-of-a-ca", content: inter + root, want: []material.Document{{
			Kind: material.KindChain, Certificates: []material.Certificate{p.c(p.inter, "", 1), p.c(p.root, "", 1+lines(inter))},
		}}},
		{name: "bundle", content: root, want: bundle(1)},
		{name: "bundle-of-two", content: root + certs(p.other), want: []material.Document{{
			Kind: material.KindBundle, Roots: []material.Certificate{p.c(p.root, "", 1), p.c(p.other, "", 1+lines(root))},
		}}},
		{name: "bundle-demanded", content: leaf, opts: material.Options{Kind: material.KindBundle}, want: []material.Document{{
			Kind: material.KindBundle, Roots: []material.Certificate{p.c(p.leaf, "", 1)},
		}}},
		{name: "chain-demanded", content: root, opts: material.Options{Kind: material.KindChain}, want: []material.Document{{
			Kind: material.KindChain, Certificates: []material.Certificate{p.c(p.root, "", 1)},
		}}},
		{name: "text-around", content: "Certificate:\n    Data:\n" + root + "bye\n", want: bundle(3)},
		{name: "text-that-looks-like-yaml", content: "identity: a\n" + root, want: bundle(2)},
		{name: "crlf", content: strings.ReplaceAll(root, "\n", "\r\n"), want: bundle(1)},
		{name: "no-newline-at-the-end", content: strings.TrimSpace(root), want: bundle(1)},
		{name: "byte-order-mark", content: "\xef\xbb\xbf" + root, want: bundle(1, problem(material.CodeBOM, "", 1, 0))},
		{name: "escaped-newlines", content: strings.ReplaceAll(root, "\n", `\n`), want: bundle(1, problem(material.CodeEscaped, "", 1, 0))},
		{name: "carriage-returns-only", content: strings.ReplaceAll(root, "\n", "\r"), want: bundle(1, problem(material.CodePEM, "", 1, 0))},
		{name: "indented", content: "  " + strings.ReplaceAll(root, "\n", "\n  "), want: bundle(1, problem(material.CodePEM, "", 1, 0))},
		{name: "text-before-begin", content: "ca: " + root, want: bundle(1, problem(material.CodePEM, "", 1, 0))},
		{name: "text-behind-end", content: strings.TrimSpace(root) + " # root\n", want: bundle(1, problem(material.CodePEM, "", 1, 0))},
		{name: "one-line", content: strings.ReplaceAll(root, "\n", ""), want: bundle(1, problem(material.CodePEM, "", 1, 0))},
		{name: "concatenated-without-newline", content: joined, want: []material.Document{{
			Kind: material.KindBundle, Roots: []material.Certificate{p.c(p.root, "", 1), p.c(p.other, "", lines(root))},
			Problems: []material.Problem{problem(material.CodeConcat, "", lines(root), 0)},
		}}},
		{name: "base64-of-pem", content: b64(root), want: bundle(1)},
		{name: "no-padding", content: strings.ReplaceAll(block("CERTIFICATE", append(p.root.Raw, 0)[:len(p.root.Raw)]), "=", ""), want: padless(p)},
		{name: "cut-off", content: root + leaf[:len(leaf)/2], want: bundle(1, problem(material.CodePEM, "", 1+lines(root), 0))},
		{name: "end-missing", content: strings.ReplaceAll(leaf, "-----END CERTIFICATE-----\n", "") + root, want: bundle(lines(leaf), problem(material.CodePEM, "", 1, 0))},
		{name: "end-of-another-type", content: strings.ReplaceAll(root, "END CERTIFICATE", "END X509 CRL"), want: bundle(1, problem(material.CodePEM, "", lines(root), 0))},
		{name: "bad-base64", content: strings.Replace(leaf, "MII", "M!I", 1) + root, want: bundle(1+lines(leaf), problem(material.CodePEM, "", 1, 0))},
		{name: "openssl-trusted", content: strings.ReplaceAll(root, "CERTIFICATE", "TRUSTED CERTIFICATE"), want: bundle(1, problem(material.CodeUnexpected, "", 1, 0))},
		{name: "unknown-block", content: block("X509 ATTRIBUTES", []byte("what")) + root, want: bundle(4, problem(material.CodeUnexpected, "", 1, 0))},
		{name: "bytes-behind-certificate", content: block("CERTIFICATE", append(slices.Clip(p.root.Raw), 1, 2)), want: []material.Document{{
			Kind:     material.KindBundle,
			Roots:    []material.Certificate{{DER: append(slices.Clip(p.root.Raw), 1, 2), Line: 1, Error: "trailing"}},
			Problems: []material.Problem{problem(material.CodeTrailing, "", 1, 1)},
		}}},
		{name: "only-damaged", content: "\n" + strings.Replace(leaf, "MII", "M!I", 1), refused: "not base64", line: 2},
		{name: "begin-without-dashes", content: "-----BEGIN CERTIFICATE\n", refused: "BEGIN line", line: 1},
		{name: "empty", content: " \n", refused: "input: is empty"},
		{name: "nothing", content: "hello", refused: "holds no certificate"},
		{name: "gzip", content: "\x1f\x8b\x08", refused: "gzip"},
		{name: "html", content: "<html>", refused: "HTML"},
		{name: "key-store", content: "\xfe\xed\xfe\xed\x00", refused: "Java"},
		{name: "wrong-kind", content: root, opts: material.Options{Kind: material.KindCSR}, refused: "holds no csr, but bundle"},
	})
}

// padless is a root whose base64 lost its padding, if it had any.
func padless(p *pki) []material.Document {
	d := material.Document{Kind: material.KindBundle, Roots: []material.Certificate{p.c(p.root, "", 1)}}
	if len(p.root.Raw)%3 != 0 {
		d.Problems = []material.Problem{problem(material.CodePEM, "", 1, 0)}
	}
	return []material.Document{d}
}

func TestKeys(t *testing.T) {
	p := newPKI()
	leaf := certs(p.leaf)
	at := 1 + strings.Count(leaf, "\n")
	sec1 := block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(p.leafKey)))
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	chain := func(key *material.Key, problems ...material.Problem) []material.Document {
		return []material.Document{{Kind: material.KindChain, Certificates: []material.Certificate{p.c(p.leaf, "", 1)}, Key: key, Problems: problems}}
	}
	alone := func(key material.Key, problems ...material.Problem) []material.Document {
		return []material.Document{{Kind: material.KindKey, Key: &key, Problems: problems}}
	}
	hash := func(pub any) string {
		sum := sha256.Sum256(must(x509.MarshalPKIXPublicKey(pub)))
		return hex.EncodeToString(sum[:])
	}
	check(t, []input{
		{name: "pkcs8", content: leaf + pkcs8(p.leafKey), want: chain(keyOf(p.leaf, "", at, "PKCS#8", new(true)))},
		{name: "sec1", content: leaf + block("EC PARAMETERS", []byte{6, 0}) + sec1, want: chain(keyOf(p.leaf, "", at+3, "SEC 1", new(true)))},
		{name: "mismatch", content: leaf + pkcs8(p.interKey), want: chain(keyOf(p.inter, "", at, "PKCS#8", new(false)), problem(material.CodeKeyMismatch, "", at, 0))},
		{name: "of-the-second", content: leaf + certs(p.inter) + pkcs8(p.interKey), want: []material.Document{{
			Kind: material.KindChain, Certificates: []material.Certificate{p.c(p.leaf, "", 1), p.c(p.inter, "", at)},
			Key:      keyOf(p.inter, "", at+strings.Count(certs(p.inter), "\n"), "PKCS#8", new(false)),
			Problems: []material.Problem{problem(material.CodeKeyMismatch, "", at+strings.Count(certs(p.inter), "\n"), 2)},
		}}},
		{name: "two-keys", content: pkcs8(p.leafKey) + pkcs8(p.interKey), want: []material.Document{
			{Kind: material.KindKey, Key: keyOf(p.leaf, "", 1, "PKCS#8", nil)},
			{Kind: material.KindKey, Key: keyOf(p.inter, "", 6, "PKCS#8", nil)},
		}},
		{name: "rsa", content: block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), want: alone(material.Key{
			Line: 1, Encoding: "PKCS#1", Type: "RSA 2048", SPKI: hash(rsaKey.Public()),
		})},
		{name: "ed25519", content: pkcs8(edKey), want: alone(material.Key{Line: 1, Encoding: "PKCS#8", Type: "Ed25519", SPKI: hash(edKey.Public())})},
		{
			name: "x25519", content: block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(must(ecdh.X25519().GenerateKey(rand.Reader))))),
			opts: material.Options{Kind: material.KindCRL}, refused: "holds no crl, but key",
		},
		{name: "label-of-another-encoding", content: strings.ReplaceAll(pkcs8(p.leafKey), "PRIVATE KEY", "EC PRIVATE KEY"), want: alone(
			*keyOf(p.leaf, "", 1, "PKCS#8", nil), problem(material.CodeKey, "", 1, 0))},
		{name: "der", content: string(must(x509.MarshalPKCS8PrivateKey(p.leafKey))), want: alone(*keyOf(p.leaf, "", 0, "PKCS#8", nil))},
		{name: "der-sec1", content: string(must(x509.MarshalECPrivateKey(p.leafKey))), want: alone(*keyOf(p.leaf, "", 0, "SEC 1", nil))},
		{name: "public", content: block("PUBLIC KEY", p.leaf.RawSubjectPublicKeyInfo), want: alone(material.Key{
			Line: 1, Encoding: "PKIX", Public: true, Type: "ECDSA P-256", SPKI: spki(p.leaf),
		})},
		{name: "pkcs8-encrypted", content: block("ENCRYPTED PRIVATE KEY", []byte{0x30, 0}), want: alone(
			material.Key{Line: 1, Encoding: "PKCS#8 encrypted", Encrypted: true}, problem(material.CodeKeyEncrypted, "", 1, 0))},
		{
			name: "pem-encrypted", content: "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
			want: alone(material.Key{Line: 1, Encoding: "PEM encrypted", Encrypted: true}, problem(material.CodeKeyEncrypted, "", 1, 0)),
		},
		{name: "openssh", content: block("OPENSSH PRIVATE KEY", []byte("openssh-key-v1")), want: alone(
			material.Key{Line: 1, Encoding: "OpenSSH"}, problem(material.CodeKey, "", 1, 0))},
		{name: "damaged", content: block("PRIVATE KEY", append([]byte{0x30, 0x03, 2, 1, 0}, "hunter2canary"...)), want: alone(
			material.Key{Line: 1, Encoding: "unknown"}, problem(material.CodeKey, "", 1, 0))},
		{name: "half", content: leaf + pkcs8(p.leafKey)[:120], want: chain(nil, problem(material.CodePEM, "", at, 0))},
		{name: "key-as-label", content: leaf + "-----BEGIN hunter2canary-----\nAAAA\n-----END hunter2canary-----\n", want: chain(nil, problem(material.CodeUnexpected, "", at, 0))},
	})
}
