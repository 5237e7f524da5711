// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"bytes"
	"encoding/asn1"
	"encoding/hex"
	"strings"
	"unicode/utf16"
)

// sameDN reports whether OpenSSL and BoringSSL take two encoded names for equal.
func sameDN(a, b []byte) bool {
	const empty = 2 // an empty SEQUENCE
	switch {
	case bytes.Equal(a, b):
		return true
	case len(a) == empty || len(b) == empty:
		return false
	}
	return namesSeen.get(a, canonicalDN) == namesSeen.get(b, canonicalDN)
}

// canonicalDN returns a key that is equal for two encoded names exactly if
// OpenSSL and BoringSSL take them for equal: string values are compared
// without regard to their ASN.1 type, ASCII case and runs of space.
// Source: crypto/x509/x_name.c, x509_name_canon and asn1_string_canon.
func canonicalDN(raw []byte) string {
	var rdns []asn1.RawValue
	if rest, err := asn1.Unmarshal(raw, &rdns); err != nil || len(rest) > 0 {
		return "raw:" + string(raw)
	}
	var b strings.Builder
	for _, rdn := range rdns {
		b.WriteByte('/')
		attrs := rdn.Bytes
		for len(attrs) > 0 {
			var attr struct {
				Type  asn1.RawValue
				Value asn1.RawValue
			}
			rest, err := asn1.Unmarshal(attrs, &attr)
			if err != nil {
				return "raw:" + string(raw)
			}
			attrs = rest
			b.WriteByte('+')
			b.WriteString(hex.EncodeToString(attr.Type.Bytes))
			b.WriteByte('=')
			b.WriteString(canonicalValue(attr.Value))
		}
	}
	return b.String()
}

// canonicalValue folds one attribute value.
func canonicalValue(v asn1.RawValue) string {
	text, ok := decodeString(v)
	if !ok {
		return "#" + hex.EncodeToString(v.FullBytes)
	}
	return strings.Join(strings.FieldsFunc(lowerASCII(text), isASCIISpace), " ")
}

// decodeString reads the string types that canonicalisation covers.
func decodeString(v asn1.RawValue) (string, bool) {
	if v.Class != asn1.ClassUniversal {
		return "", false
	}
	switch v.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, 26 /* VisibleString */ :
		return string(v.Bytes), true
	case asn1.TagT61String:
		runes := make([]rune, len(v.Bytes))
		for i, c := range v.Bytes {
			runes[i] = rune(c)
		}
		return string(runes), true
	case asn1.TagBMPString:
		units := make([]uint16, 0, len(v.Bytes)/2)
		for i := 0; i+1 < len(v.Bytes); i += 2 {
			units = append(units, uint16(v.Bytes[i])<<8|uint16(v.Bytes[i+1]))
		}
		return string(utf16.Decode(units)), true
	default:
		return "", false
	}
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, s)
}

func isASCIISpace(r rune) bool { return r == ' ' || ('\t' <= r && r <= '\r') }
