// SPDX-License-Identifier: Apache-2.0

package material_test

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/material"
)

// pkcs7 is certificates as `openssl crl2pkcs7 -nocrl` packs them.
func pkcs7(list ...*x509.Certificate) []byte {
	var raw []byte
	for _, c := range list {
		raw = append(raw, c.Raw...)
	}
	type contentInfo struct{ Type asn1.ObjectIdentifier }
	type signedData struct {
		Version    int
		Algorithms asn1.RawValue
		Content    contentInfo
		Certs      asn1.RawValue
		Signers    asn1.RawValue
	}
	set := asn1.RawValue{Tag: asn1.TagSet, IsCompound: true}
	inner := must(asn1.Marshal(signedData{
		Version: 1, Algorithms: set, Content: contentInfo{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}},
		Certs: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: raw}, Signers: set,
	}))
	return must(asn1.Marshal(struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: inner}}))
}

func (p *pki) request(line int) *material.Request {
	return &material.Request{
		DER: p.csr, Line: line, URIs: []string{"spiffe://cluster.local/ns/shop/sa/ratings"}, SPKI: spki(p.leaf),
		Key: "ECDSA P-256", Signature: "ECDSA-SHA256", Extensions: []string{"2.5.29.17"},
	}
}

func (p *pki) list(entry string, line int) []material.RevocationList {
	return []material.RevocationList{{
		DER: p.crl, Bytes: len(p.crl), Entry: entry, Line: line, Issuer: "CN=Intermediate CA", AKI: "496e7465726d656469617465204341",
		Number: "7", ThisUpdate: p.root.NotBefore, NextUpdate: p.root.NotBefore.AddDate(0, 1, 0), Signature: "ECDSA-SHA256",
		Revoked: 1, Serials: []string{"bad"},
	}}
}

func TestDER(t *testing.T) {
	p := newPKI()
	chain := func(line int) []material.Document {
		return []material.Document{{Kind: material.KindChain, Certificates: []material.Certificate{p.c(p.leaf, "", line), p.c(p.inter, "", line)}}}
	}
	badSelfSigned := slices.Clone(p.csr)
	badSelfSigned[len(badSelfSigned)-1] ^= 1
	bad := p.request(1)
	bad.DER, bad.SignatureError = badSelfSigned, "x509: ECDSA verification failure"
	check(t, []input{
		{name: "certificate", content: string(p.root.Raw), want: []material.Document{{Kind: material.KindBundle, Roots: []material.Certificate{p.c(p.root, "", 0)}}}},
		{name: "certificates", content: string(p.leaf.Raw) + string(p.inter.Raw), want: chain(0)},
		{name: "pkcs7", content: string(pkcs7(p.leaf, p.inter)), want: chain(0)},
		{name: "pkcs7-pem", content: "subject=x\n" + block("PKCS7", pkcs7(p.leaf, p.inter)), want: chain(2)},
		{name: "base64-alone", content: b64(string(p.root.Raw)), want: []material.Document{{Kind: material.KindBundle, Roots: []material.Certificate{p.c(p.root, "", 0)}}}},
		{name: "csr", content: string(p.csr), want: []material.Document{{Kind: material.KindCSR, Request: p.request(0)}}},
		{name: "csr-pem-with-key", content: block("CERTIFICATE REQUEST", p.csr) + pkcs8(p.leafKey), want: []material.Document{{
			Kind: material.KindCSR, Request: p.request(1), Key: keyOf(p.leaf, "", 1+nl(block("CERTIFICATE REQUEST", p.csr)), "PKCS#8", nil),
		}}},
		{name: "csr-badly-signed", content: block("NEW CERTIFICATE REQUEST", badSelfSigned), want: []material.Document{{
			Kind: material.KindCSR, Request: bad, Problems: []material.Problem{problem(material.CodeCSR, "", 1, 0)},
		}}},
		{name: "csr-damaged", content: block("CERTIFICATE REQUEST", p.csr[:40]), want: []material.Document{{
			Kind: material.KindCSR, Request: &material.Request{DER: p.csr[:40], Line: 1, Error: "asn1: syntax error: data truncated"},
			Problems: []material.Problem{problem(material.CodeCSR, "", 1, 0)},
		}}},
		{name: "crl", content: string(p.crl), want: []material.Document{{Kind: material.KindCRL, CRLs: p.list("", 0)}}},
		{name: "crl-pem", content: block("X509 CRL", p.crl), want: []material.Document{{Kind: material.KindCRL, CRLs: p.list("", 1)}}},
		{name: "crl-damaged", content: block("X509 CRL", []byte{0x30, 0}), want: []material.Document{{
			Kind: material.KindCRL, CRLs: []material.RevocationList{{DER: []byte{0x30, 0}, Bytes: 2, Line: 1, Error: "x509: malformed tbs crl"}},
			Problems: []material.Problem{problem(material.CodeCRL, "", 1, 0)},
		}}},
		{name: "certificate-and-crl", content: certs(p.inter) + block("X509 CRL", p.crl), want: []material.Document{
			{Kind: material.KindChain, Certificates: []material.Certificate{p.c(p.inter, "", 1)}},
			{Kind: material.KindCRL, CRLs: p.list("", 1+nl(certs(p.inter)))},
		}},
		{name: "garbage-behind", content: string(p.root.Raw) + "\n", want: []material.Document{{
			Kind: material.KindBundle, Roots: []material.Certificate{p.c(p.root, "", 0)}, Problems: []material.Problem{problem(material.CodeTrailing, "", 0, 0)},
		}}},
		{name: "pkcs12", content: "\x30\x82\x01\x00\x02\x01\x03\x30\x00", refused: "DER of no kind known"},
	})
}

// TestSalvage reads certificates that crypto/x509 refuses, and those that it reads.
func TestSalvage(t *testing.T) {
	p := newPKI()
	at := p.root.NotBefore
	want := material.Facts{
		Issuer: "CN=Intermediate CA", Serial: "3", URIs: []string{"spiffe://cluster.local/ns/shop/sa/ratings"},
		NotBefore: at, NotAfter: at.AddDate(0, 0, 1), SPKI: spki(p.leaf), AKI: "496e7465726d656469617465204341",
		Key: "ECDSA P-256", Signature: "ECDSA-SHA256",
	}
	read := func(der []byte) material.Certificate {
		docs, err := material.Parse("input", []byte(block("CERTIFICATE", der)), material.Options{Kind: material.KindChain})
		if err != nil {
			t.Fatal(err)
		}
		return docs[0].Certificates[0]
	}
	if diff := cmp.Diff(material.Certificate{DER: p.leaf.Raw, Line: 1, Facts: want}, read(p.leaf.Raw)); diff != "" {
		t.Errorf("a good one (-want +got):\n%s", diff)
	}
	// The serial number is the first INTEGER 3 of the certificate.
	negative := bytes.Replace(p.leaf.Raw, []byte{2, 1, 3}, []byte{2, 1, 0xfd}, 1)
	got := read(negative)
	want.Serial = "-3"
	if diff := cmp.Diff(material.Certificate{DER: negative, Line: 1, Error: "x509: negative serial number", Facts: want}, got); diff != "" {
		t.Errorf("with a negative serial number (-want +got):\n%s", diff)
	}
	for _, cut := range []int{1, 2, 20, 40, 80, 120, 200, 300} {
		if c := read(p.leaf.Raw[:cut]); c.Error == "" || c.NotAfter.After(at.Add(100*24*time.Hour)) {
			t.Errorf("cut after %d bytes it is read as %+v", cut, c.Facts)
		}
	}
}
