// SPDX-License-Identifier: Apache-2.0

package material

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
)

// found is what one text holds, in the order found.
type found struct {
	certs    []Certificate
	keys     []Key
	requests []Request
	lists    []RevocationList
	problems []Problem
}

func (f *found) empty() bool {
	return len(f.certs)+len(f.keys)+len(f.requests)+len(f.lists) == 0
}

// entry reads one text, PEM or DER, which is the entry of that name; "" where the
// input is that one text. It says where something that istiod or Envoy loads as
// PEM is not.
func (r *reader) entry(name string, content []byte) found {
	var f found
	if decoded, ok := twice(content); ok {
		if name != "" {
			f.problems = append(f.problems, Problem{
				Code: CodeDoubleBase64, What: "was encoded as base64 twice", Hint: "pass PEM to --from-file or stringData, or encode it once",
			})
		}
		content = decoded
	}
	switch {
	case bytes.Contains(content, []byte(beginMark)):
		blocks, problems := scan(content)
		f.problems = append(f.problems, problems...)
		r.blocks(&f, blocks)
	case len(content) > 0 && content[0] == 0x30:
		if r.der(&f, content) && name != "" {
			f.problems = append(f.problems, Problem{
				Code: CodeNotPEM, What: "is DER where Istio and Kubernetes take PEM", Hint: "convert it with `openssl x509 -inform der`",
			})
		}
	}
	name = clip(name)
	for i := range f.certs {
		f.certs[i].Entry = name
	}
	for i := range f.keys {
		f.keys[i].Entry = name
	}
	for i := range f.lists {
		f.lists[i].Entry = name
	}
	for i := range f.problems {
		f.problems[i].Entry = name
	}
	return f
}

// twice decodes a text that is base64 of PEM or DER from its first character on.
func twice(content []byte) ([]byte, bool) {
	trimmed := bytes.TrimSpace(content)
	if len(trimmed) < 8 || !bytes.HasPrefix(trimmed, []byte("LS0tLS1CRUdJ")) && !bytes.HasPrefix(trimmed, []byte("MII")) {
		return nil, false
	}
	decoded, err := base64.StdEncoding.DecodeString(string(bytes.ReplaceAll(trimmed, []byte(" "), nil)))
	if err != nil || !bytes.HasPrefix(decoded, []byte(beginMark)) && decoded[0] != 0x30 {
		return nil, false
	}
	return decoded, true
}

// blocks sorts PEM blocks into what they are.
func (r *reader) blocks(f *found, blocks []block) {
	for _, b := range blocks {
		switch {
		case b.label == "CERTIFICATE", b.label == "X509 CERTIFICATE":
			r.certificate(f, b)
		case b.label == "TRUSTED CERTIFICATE":
			f.complain(CodeUnexpected, b.line, "is in OpenSSL's own format TRUSTED CERTIFICATE, which Go, Envoy and ztunnel do not read", "convert it with `openssl x509 -in FILE`")
			b.der, _ = element(b.der)
			r.certificate(f, b)
		case b.label == "CERTIFICATE REQUEST", b.label == "NEW CERTIFICATE REQUEST":
			f.request(b)
		case b.label == "X509 CRL":
			f.list(b)
		case b.label == "PKCS7", b.label == "CMS":
			if !r.signedData(f, b) {
				f.complain(CodePEM, b.line, "the block "+named(b.label)+" holds no certificates that can be read", "")
			}
		case b.label == "EC PARAMETERS":
			// openssl ecparam writes it before the key; every parser passes it over.
		case strings.HasSuffix(b.label, "PRIVATE KEY"), strings.HasSuffix(b.label, "PUBLIC KEY"):
			f.key(b)
		default:
			f.complain(CodeUnexpected, b.line, "has a block "+named(b.label)+", which is neither certificate, key, request nor revocation list", "")
		}
	}
}

func (f *found) complain(code Code, line int, what, hint string) {
	f.problems = append(f.problems, Problem{Code: code, Line: line, What: what, Hint: hint})
}

// certificate keeps one certificate, up to the limit.
func (r *reader) certificate(f *found, b block) {
	if r.certs++; r.certs > MaxCertificates {
		if r.certs == MaxCertificates+1 {
			f.complain(CodeOmitted, b.line, fmt.Sprintf("holds more than %d certificates; the rest is left out", MaxCertificates), "")
		}
		return
	}
	der, rest := element(b.der)
	c := certificate(b.der)
	if len(rest) > 0 {
		cut := certificate(der)
		cut.Error, cut.DER = c.Error, b.der
		c = cut
	}
	c.Line = b.line
	f.certs = append(f.certs, c)
	if c.Error == "" {
		return
	}
	p := Problem{
		Code: CodeUnparsable, Line: b.line, Certificate: len(f.certs), What: "a certificate cannot be read: " + c.Error,
		Hint: "issue it again; `openssl x509 -text` may still show it",
	}
	if len(rest) > 0 {
		p.Code, p.What = CodeTrailing, fmt.Sprintf("a certificate has %d bytes behind its end: %s", len(rest), c.Error)
	}
	f.problems = append(f.problems, p)
}

func (f *found) request(b block) {
	q := request(b)
	f.requests = append(f.requests, q)
	switch {
	case q.Error != "":
		f.complain(CodeCSR, b.line, "the request cannot be read: "+q.Error, "make it again with `openssl req -new`")
	case q.SignatureError != "":
		f.complain(CodeCSR, b.line, "the request is not signed with its own key: "+q.SignatureError, "make it again with `openssl req -new`")
	}
}

func (f *found) list(b block) {
	l := revocations(b)
	f.lists = append(f.lists, l)
	if l.Error != "" {
		f.complain(CodeCRL, b.line, "the revocation list cannot be read: "+l.Error, "issue it again with `openssl ca -gencrl`")
	}
}

func (f *found) key(b block) {
	k := key(b)
	f.keys = append(f.keys, k)
	switch {
	case k.Encrypted:
		f.complain(CodeKeyEncrypted, b.line, "the private key is under a passphrase, which Istio has no way to enter", "decrypt it with `openssl pkey -in FILE`")
	case k.Error != "":
		f.complain(CodeKey, b.line, "the key cannot be used: "+k.Error, "write it as PKCS#8 with `openssl pkey -in FILE`")
	}
}

// add puts into the document what has one place there wherever it is found.
func (d *Document) add(f found) {
	for i := range f.keys {
		if d.Key == nil {
			d.Key = &f.keys[i]
		} else {
			d.MoreKeys = append(d.MoreKeys, f.keys[i])
		}
	}
	d.CRLs = append(d.CRLs, f.lists...)
	d.Problems = append(d.Problems, f.problems...)
	if d.Request == nil && len(f.requests) > 0 {
		d.Request = &f.requests[0]
	}
}
