// SPDX-License-Identifier: Apache-2.0

package material

import (
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
)

// element splits off the first ASN.1 element. Where there is no whole one, all of
// it is the element.
func element(der []byte) (first, rest []byte) {
	s := cryptobyte.String(der)
	var out cryptobyte.String
	var t tag.Tag
	if !s.ReadAnyASN1Element(&out, &t) {
		return der, nil
	}
	return out, s
}

// der reads a sequence of DER elements; it reports whether the first is something
// that it knows.
func (r *reader) der(f *found, content []byte) bool {
	first := true
	for len(content) > 0 {
		one, rest := element(content)
		if !r.derOne(f, block{der: one}) {
			if !first {
				f.complain(CodeTrailing, 0, fmt.Sprintf("has %d bytes behind its end that are nothing known", len(content)), "")
			}
			return !first
		}
		content, first = rest, false
	}
	return !first
}

// derOne recognises an element by its first members.
func (r *reader) derOne(f *found, b block) bool {
	s := cryptobyte.String(b.der)
	var outer cryptobyte.String
	if !s.ReadASN1(&outer, tag.SEQUENCE) {
		return false
	}
	switch shapeOf(outer) {
	case "certificate":
		r.certificate(f, b)
	case "request":
		f.request(b)
	case "list":
		f.list(b)
	case "signed-data":
		return r.signedData(f, b)
	case "key":
		f.key(b)
	case "encrypted-key":
		b.label = "ENCRYPTED PRIVATE KEY"
		f.key(b)
	case "public-key":
		b.label = "PUBLIC KEY"
		f.key(b)
	default:
		return false
	}
	return true
}

// shapeOf tells the structures apart that begin with a SEQUENCE, by what is in it.
func shapeOf(outer cryptobyte.String) string {
	var oid asn1.ObjectIdentifier
	probe := outer
	switch {
	case outer.PeekASN1Tag(tag.INTEGER):
		if looksLikeKey(outer) {
			return "key"
		}
	case probe.ReadASN1ObjectIdentifier(&oid):
		if oid.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}) {
			return "signed-data"
		}
	case outer.PeekASN1Tag(tag.SEQUENCE):
		return signedShape(outer)
	}
	return ""
}

func looksLikeKey(outer cryptobyte.String) bool {
	var version cryptobyte.String
	if !outer.ReadASN1(&version, tag.INTEGER) || len(version) != 1 {
		return false
	}
	// PKCS#12 has version 3 (RFC 7292 §4).
	return version[0] <= 1 &&
		(outer.PeekASN1Tag(tag.SEQUENCE) || outer.PeekASN1Tag(tag.INTEGER) || outer.PeekASN1Tag(tag.OCTET_STRING))
}

// signedShape tells certificate, request and list apart, each of which is content,
// algorithm and signature, from the two structures of keys that begin alike.
func signedShape(outer cryptobyte.String) string {
	var inner, skipped cryptobyte.String
	if !outer.ReadASN1(&inner, tag.SEQUENCE) {
		return ""
	}
	switch {
	case outer.PeekASN1Tag(tag.OCTET_STRING):
		return "encrypted-key"
	case outer.PeekASN1Tag(tag.BIT_STRING):
		return "public-key"
	case !outer.PeekASN1Tag(tag.SEQUENCE):
		return ""
	case inner.PeekASN1Tag(tag.Tag(0).Constructed().ContextSpecific()):
		return "certificate"
	}
	version := inner.ReadASN1(&skipped, tag.INTEGER)
	if !inner.ReadASN1(&skipped, tag.SEQUENCE) {
		return ""
	}
	switch {
	case !version, inner.PeekASN1Tag(tag.UTCTime), inner.PeekASN1Tag(tag.GeneralizedTime):
		return "list"
	case !inner.ReadASN1(&skipped, tag.SEQUENCE):
		return ""
	case inner.PeekASN1Tag(tag.Tag(0).Constructed().ContextSpecific()), inner.Empty():
		return "request"
	case inner.PeekASN1Tag(tag.UTCTime), inner.PeekASN1Tag(tag.GeneralizedTime):
		return "list"
	}
	return "certificate" // of version 1
}

// signedData reads the certificates of a PKCS#7 structure that carries nothing
// else (RFC 5652 §5.1), as `openssl crl2pkcs7 -nocrl` writes it.
func (r *reader) signedData(f *found, b block) bool {
	s := cryptobyte.String(b.der)
	var outer, explicit, signed, skipped, certs cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !s.ReadASN1(&outer, tag.SEQUENCE) || !outer.ReadASN1ObjectIdentifier(&oid) ||
		!outer.ReadASN1(&explicit, tag.Tag(0).Constructed().ContextSpecific()) || !explicit.ReadASN1(&signed, tag.SEQUENCE) ||
		!signed.ReadASN1(&skipped, tag.INTEGER) || !signed.ReadASN1(&skipped, tag.SET) || !signed.ReadASN1(&skipped, tag.SEQUENCE) ||
		!signed.ReadASN1(&certs, tag.Tag(0).Constructed().ContextSpecific()) {
		return false
	}
	for !certs.Empty() {
		var one cryptobyte.String
		if !certs.ReadASN1Element(&one, tag.SEQUENCE) {
			f.complain(CodeTrailing, b.line, "the PKCS#7 structure holds something that is no certificate", "")
			break
		}
		r.certificate(f, block{der: one, line: b.line})
	}
	return true
}
