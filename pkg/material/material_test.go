// SPDX-License-Identifier: Apache-2.0

package material_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/meshprobe/meshprobe/pkg/material"
)

// pki is a root, an intermediate and a leaf, made for this run of the test alone.
type pki struct {
	root, inter, leaf, other *x509.Certificate
	interKey, leafKey        *ecdsa.PrivateKey
	csr, crl                 []byte
}

var newPKI = sync.OnceValue(func() *pki {
	at := time.Date(2026, time.June, 1, 0, 0, 0, 0, time.UTC)
	key := func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }
	ca := func(serial int64, name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: at, NotAfter: at.AddDate(10, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte(name),
		}
	}
	sign := func(tmpl, parent *x509.Certificate, pub crypto.PublicKey, by crypto.Signer) *x509.Certificate {
		return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, tmpl, parent, pub, by))))
	}
	p := &pki{interKey: key(), leafKey: key()}
	rootKey, otherKey := key(), key()
	root := ca(1, "Root CA")
	p.root = sign(root, root, &rootKey.PublicKey, rootKey)
	p.other = sign(root, root, &otherKey.PublicKey, otherKey)
	p.inter = sign(ca(2, "Intermediate CA"), p.root, &p.interKey.PublicKey, rootKey)
	id := must(url.Parse("spiffe://cluster.local/ns/shop/sa/ratings"))
	p.leaf = sign(&x509.Certificate{SerialNumber: big.NewInt(3), NotBefore: at, NotAfter: at.AddDate(0, 0, 1), URIs: []*url.URL{id}},
		p.inter, &p.leafKey.PublicKey, p.interKey)
	p.csr = must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{id}}, p.leafKey))
	p.crl = must(x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(7), ThisUpdate: at, NextUpdate: at.AddDate(0, 1, 0),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(0xbad), RevocationTime: at}},
	}, p.inter, p.interKey))
	return p
})

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// certs is certificates in PEM.
func certs(list ...*x509.Certificate) string {
	var b strings.Builder
	for _, c := range list {
		b.WriteString(block("CERTIFICATE", c.Raw))
	}
	return b.String()
}

func pkcs8(k crypto.Signer) string {
	return block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(k)))
}

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// name is what a test calls a certificate.
func (p *pki) name(der []byte) string {
	names := []string{"root", "inter", "leaf", "other"}
	for i, c := range []*x509.Certificate{p.root, p.inter, p.leaf, p.other} {
		if string(c.Raw) == string(der) {
			return names[i]
		}
	}
	return fmt.Sprintf("%d bytes", len(der))
}

// c is a certificate as expected: which, where, and whether it can be read.
func (p *pki) c(cert *x509.Certificate, entry string, line int) material.Certificate {
	return material.Certificate{DER: cert.Raw, Entry: entry, Line: line}
}

// problem is a problem as expected, without its words.
func problem(code material.Code, entry string, line, certificate int) material.Problem {
	return material.Problem{Code: code, Entry: entry, Line: line, Certificate: certificate}
}

// alike compares documents: certificates by their bytes and place, problems without
// their words.
func (p *pki) alike() cmp.Options {
	return cmp.Options{
		cmp.Transformer("certificate", func(c material.Certificate) string {
			return fmt.Sprintf("%s in %q line %d, readable %t", p.name(c.DER), c.Entry, c.Line, c.Error == "")
		}),
		cmpopts.IgnoreFields(material.Problem{}, "What", "Hint"),
		cmpopts.IgnoreFields(material.Key{}, "Error"),
	}
}

// input is one thing that somebody has, and what is to be read of it.
type input struct {
	name    string
	content string
	opts    material.Options
	want    []material.Document
	// refused is a part of the error expected instead.
	refused string
	line    int // of the error
}

func check(t *testing.T, inputs []input) {
	t.Helper()
	p := newPKI()
	for _, tc := range inputs {
		t.Run(tc.name, func(t *testing.T) {
			docs, err := material.Parse("input", []byte(tc.content), tc.opts)
			noSecrets(t, docs, err)
			if tc.refused != "" {
				refused(t, err, tc.refused, tc.line)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for i := range tc.want {
				tc.want[i].Source = "input"
			}
			if diff := cmp.Diff(tc.want, docs, p.alike()); diff != "" {
				t.Errorf("documents (-want +got):\n%s", diff)
			}
			wellFormed(t, docs)
			roundTrip(t, docs)
		})
	}
}

// wellFormed checks what holds for every document.
func wellFormed(t *testing.T, docs []material.Document) {
	t.Helper()
	for _, d := range docs {
		for _, problem := range d.Problems {
			if problem.What == "" || strings.HasSuffix(problem.What, ".") || strings.ContainsAny(problem.What+problem.Hint, "\n\r\t") {
				t.Errorf("%s: a problem says %q, hint %q", d.Kind, problem.What, problem.Hint)
			}
		}
		if d.Kind == "" || d.Source == "" {
			t.Errorf("a document has kind %q and source %q", d.Kind, d.Source)
		}
	}
}

// roundTrip checks that documents survive JSON.
func roundTrip(t *testing.T, docs []material.Document) {
	t.Helper()
	text, err := json.Marshal(docs)
	if err != nil {
		t.Fatal(err)
	}
	var back []material.Document
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(docs, back, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("after JSON (-want +got):\n%s", diff)
	}
}

func refused(t *testing.T, err error, part string, line int) {
	t.Helper()
	e, ok := err.(*material.Error) //nolint:errorlint // the contract is this very type
	if !ok {
		t.Fatalf("error is %#v, want a *material.Error with %q", err, part)
	}
	if !strings.Contains(e.Error(), part) || e.Line != line {
		t.Errorf("error %q at line %d, want %q at line %d", e, e.Line, part, line)
	}
	if !strings.HasPrefix(e.Error(), "material: ") || strings.HasSuffix(e.Error(), ".") {
		t.Errorf("error %q has not the form of errors here", e)
	}
}

// canaries are parts of everything secret that a test puts into an input.
func canaries() []string {
	p := newPKI()
	out := []string{"hunter2canary", b64("hunter2canary")[:16]}
	for _, k := range []*ecdsa.PrivateKey{p.leafKey, p.interKey} {
		secret := must(k.Bytes())
		out = append(out, string(secret), fmt.Sprintf("%x", secret), k.D.String()) //nolint:staticcheck // the number that must not appear
		for pad := range 3 {
			text := base64.StdEncoding.EncodeToString(append(make([]byte, pad), secret...))
			out = append(out, text[4:14], text[16:26], text[28:38])
		}
		body := pkcs8(k)
		for pad := range 3 {
			twice := b64(strings.Repeat("x", pad) + body)
			for at := 80; at < 160; at += 16 {
				out = append(out, twice[at:at+16])
			}
		}
	}
	return out
}

// noSecrets fails where a document or an error shows a part of a key.
func noSecrets(t *testing.T, docs []material.Document, err error) {
	t.Helper()
	text := string(must(json.Marshal(docs))) + fmt.Sprintf("%+v", docs)
	if err != nil {
		text += err.Error()
		if e, ok := err.(*material.Error); ok { //nolint:errorlint // as above
			text += e.Hint + fmt.Sprint(e.Err)
		}
	}
	for _, canary := range canaries() {
		if strings.Contains(text, canary) {
			t.Errorf("%q of a private key or credential is shown", canary)
		}
	}
}

// TestCanariesBite shows that the search finds a key where one is.
func TestCanariesBite(t *testing.T) {
	for _, text := range []string{pkcs8(newPKI().leafKey), b64(pkcs8(newPKI().interKey)), "hunter2canary"} {
		found := false
		for _, canary := range canaries() {
			found = found || strings.Contains(text, canary)
		}
		if !found {
			t.Errorf("no canary is found in %d bytes that hold a key", len(text))
		}
	}
}

// nl counts lines.
func nl(text string) int { return strings.Count(text, "\n") }

func jsonText(text string) ([]byte, error) { return json.Marshal(text) }
