// SPDX-License-Identifier: Apache-2.0

package material

import (
	"crypto"
	"crypto/x509"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
)

// maxKeyBytes is far above every real key, and bounds the work of checking one.
const maxKeyBytes = 16 << 10

// The encodings of keys, as in [Key.Encoding].
const (
	encodingPKCS8     = "PKCS#8"
	encodingPKCS1     = "PKCS#1"
	encodingSEC1      = "SEC 1"
	encodingPKIX      = "PKIX"
	encodingEncrypted = "PKCS#8 encrypted"
	encodingPEM       = "PEM encrypted"
	encodingOpenSSH   = "OpenSSH"
	encodingRedacted  = "redacted"
	encodingUnknown   = "unknown"
)

// key describes a private or public key. The errors of the parsers are not passed
// on: some quote their input.
func key(b block) Key {
	k := Key{Line: b.line}
	switch {
	case b.encrypted:
		k.Encoding, k.Encrypted = encodingPEM, true
	case b.label == "ENCRYPTED PRIVATE KEY":
		k.Encoding, k.Encrypted = encodingEncrypted, true
	case b.label == "OPENSSH PRIVATE KEY":
		k.Encoding, k.Error = encodingOpenSSH, "an OpenSSH key, which nothing in a mesh reads"
	case len(b.der) > maxKeyBytes:
		k.Encoding, k.Error = encodingUnknown, "longer than any key"
	case b.label == "PUBLIC KEY" || b.label == "RSA PUBLIC KEY":
		k.public(b)
	default:
		k.private(b)
	}
	return k
}

func (k *Key) public(b block) {
	k.Encoding, k.Public = encodingPKIX, true
	pub, err := x509.ParsePKIXPublicKey(b.der)
	if b.label == "RSA PUBLIC KEY" {
		k.Encoding = encodingPKCS1
		pub, err = x509.ParsePKCS1PublicKey(b.der)
	}
	if err != nil {
		k.Error = "not a public key"
		return
	}
	k.Type, k.SPKI = keyType(pub), spkiOf(pub)
}

func (k *Key) private(b block) {
	pub, encoding := parsePrivate(b.der)
	k.Encoding = encoding
	switch {
	case pub == nil && encoding == encodingUnknown:
		k.Error = "neither PKCS#8, PKCS#1 nor SEC 1"
		return
	case pub == nil:
		k.Error = "not a " + encoding + " key that Go can read"
		return
	}
	k.Type, k.SPKI = keyType(pub), spkiOf(pub)
	want := map[string]string{"PRIVATE KEY": encodingPKCS8, "RSA PRIVATE KEY": encodingPKCS1, "EC PRIVATE KEY": encodingSEC1}[b.label]
	if b.label != "" && want != encoding {
		k.Error = "is " + encoding + " under the label " + named(b.label) + ", which istiod does not read"
	}
}

// parsePrivate gives the public half of a private key.
func parsePrivate(der []byte) (pub crypto.PublicKey, encoding string) {
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if s, ok := k.(interface{ Public() crypto.PublicKey }); ok {
			return s.Public(), encodingPKCS8
		}
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k.Public(), encodingPKCS1
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k.Public(), encodingSEC1
	}
	return nil, looksLike(der)
}

// looksLike names the encoding of a key that no parser reads, by its first
// members: RFC 5958 §2, RFC 8017 §A.1.2, RFC 5915 §3.
func looksLike(der []byte) string {
	input := cryptobyte.String(der)
	var seq, version cryptobyte.String
	if !input.ReadASN1(&seq, tag.SEQUENCE) || !seq.ReadASN1(&version, tag.INTEGER) {
		return encodingUnknown
	}
	switch {
	case seq.PeekASN1Tag(tag.SEQUENCE):
		return encodingPKCS8
	case seq.PeekASN1Tag(tag.INTEGER):
		return encodingPKCS1
	case seq.PeekASN1Tag(tag.OCTET_STRING):
		return encodingSEC1
	}
	return encodingUnknown
}

// match compares a document's key with the certificate beside it.
func (d *Document) match() {
	certs := d.CACert
	if len(certs) == 0 {
		certs = d.Certificates
	}
	if d.Key == nil || d.Key.SPKI == "" || len(certs) == 0 || certs[0].SPKI == "" {
		return
	}
	same := d.Key.SPKI == certs[0].SPKI
	d.Key.Matches = &same
	if !same {
		p := Problem{
			Code: CodeKeyMismatch, Entry: d.Key.Entry, Line: d.Key.Line,
			What: "the private key is not the one of the certificate: its public half hashes to " + d.Key.SPKI[:16] +
				", the certificate's to " + certs[0].SPKI[:16],
			Hint: "write certificate and key from one request",
		}
		for i, c := range certs {
			if c.SPKI == d.Key.SPKI {
				p.What, p.Certificate = "the private key is that of a certificate further down", i+1
				p.Hint = "put the certificate of the key first"
				break
			}
		}
		d.Problems = append(d.Problems, p)
	}
}
