// SPDX-License-Identifier: Apache-2.0

package material

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"net"
	"time"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
)

// salvage reads what it can of a certificate that crypto/x509 refuses: field by
// field, so that one bad value hides only what stands behind it (RFC 5280 §4.1).
func salvage(der []byte) Facts {
	var f Facts
	input := cryptobyte.String(der)
	var outer, tbs, alg cryptobyte.String
	if !input.ReadASN1(&outer, tag.SEQUENCE) || !outer.ReadASN1(&tbs, tag.SEQUENCE) {
		return f
	}
	tbs.SkipOptionalASN1(tag.Tag(0).Constructed().ContextSpecific())
	var number cryptobyte.String
	if !tbs.ReadASN1(&number, tag.INTEGER) {
		return f
	}
	f.Serial = twosComplement(number)
	if !tbs.ReadASN1(&alg, tag.SEQUENCE) {
		return f
	}
	f.Signature = algorithmName(alg)
	var issuer, validity, subject, spki cryptobyte.String
	if !tbs.ReadASN1Element(&issuer, tag.SEQUENCE) {
		return f
	}
	f.Issuer = dn(issuer)
	if !tbs.ReadASN1(&validity, tag.SEQUENCE) {
		return f
	}
	f.NotBefore, f.NotAfter = moment(&validity), moment(&validity)
	if !tbs.ReadASN1Element(&subject, tag.SEQUENCE) {
		return f
	}
	f.Subject = dn(subject)
	if !tbs.ReadASN1Element(&spki, tag.SEQUENCE) {
		return f
	}
	f.SPKI = spkiHash(spki)
	if key, err := x509.ParsePKIXPublicKey(spki); err == nil {
		f.Key = keyType(key)
	}
	tbs.SkipOptionalASN1(tag.Tag(1).ContextSpecific())
	tbs.SkipOptionalASN1(tag.Tag(2).ContextSpecific())
	var wrapped, list cryptobyte.String
	if !tbs.ReadASN1(&wrapped, tag.Tag(3).Constructed().ContextSpecific()) || !wrapped.ReadASN1(&list, tag.SEQUENCE) {
		return f
	}
	for !list.Empty() {
		if !f.extension(&list) {
			break
		}
	}
	return f
}

// extension reads the next extension, if it is of those that people compare.
func (f *Facts) extension(list *cryptobyte.String) bool {
	var ext, value cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !list.ReadASN1(&ext, tag.SEQUENCE) || !ext.ReadASN1ObjectIdentifier(&oid) {
		return false
	}
	ext.SkipOptionalASN1(tag.BOOLEAN)
	if !ext.ReadASN1(&value, tag.OCTET_STRING) {
		return true
	}
	switch oid.String() {
	case "2.5.29.17":
		f.names(value)
	case "2.5.29.14":
		var id cryptobyte.String
		if value.ReadASN1(&id, tag.OCTET_STRING) {
			f.SKI = clip(hex.EncodeToString(id))
		}
	case "2.5.29.35":
		var seq, id cryptobyte.String
		if value.ReadASN1(&seq, tag.SEQUENCE) && seq.ReadASN1(&id, tag.Tag(0).ContextSpecific()) {
			f.AKI = clip(hex.EncodeToString(id))
		}
	case "2.5.29.19":
		f.CA = isCA(value)
	}
	return true
}

// names reads a SubjectAltName.
func (f *Facts) names(value cryptobyte.String) {
	var seq cryptobyte.String
	if !value.ReadASN1(&seq, tag.SEQUENCE) {
		return
	}
	for !seq.Empty() {
		var name cryptobyte.String
		var t tag.Tag
		if !seq.ReadAnyASN1(&name, &t) {
			return
		}
		switch t {
		case tag.Tag(6).ContextSpecific():
			f.URIs = addName(f.URIs, string(name))
		case tag.Tag(2).ContextSpecific():
			f.DNSNames = addName(f.DNSNames, string(name))
		case tag.Tag(7).ContextSpecific():
			f.IPs = addName(f.IPs, net.IP(name).String())
		default: // names that people do not compare
		}
	}
}

func isCA(value cryptobyte.String) bool {
	var seq, flag cryptobyte.String
	return value.ReadASN1(&seq, tag.SEQUENCE) && seq.ReadASN1(&flag, tag.BOOLEAN) && len(flag) == 1 && flag[0] != 0
}

// twosComplement is an INTEGER in hex, whatever its sign and encoding.
func twosComplement(raw []byte) string {
	if len(raw) == 0 || len(raw) > 64 {
		return ""
	}
	n := new(big.Int).SetBytes(raw)
	if raw[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(len(raw))*8))
	}
	return serial(n)
}

// algorithmName is a signature algorithm as crypto/x509 names it, else its OID.
func algorithmName(alg cryptobyte.String) string {
	var oid asn1.ObjectIdentifier
	if !alg.ReadASN1ObjectIdentifier(&oid) {
		return ""
	}
	switch oid.String() {
	case "1.2.840.10045.4.3.2":
		return x509.ECDSAWithSHA256.String()
	case "1.2.840.10045.4.3.3":
		return x509.ECDSAWithSHA384.String()
	case "1.2.840.113549.1.1.11":
		return x509.SHA256WithRSA.String()
	case "1.2.840.113549.1.1.5":
		return x509.SHA1WithRSA.String()
	case "1.3.101.112":
		return x509.PureEd25519.String()
	}
	return clip(oid.String())
}

// dn is a distinguished name as crypto/x509 writes it, "" where it cannot be read.
func dn(raw []byte) string {
	var seq pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &seq); err != nil || len(rest) > 0 {
		return ""
	}
	var name pkix.Name
	name.FillFromRDNSequence(&seq)
	return clip(name.String())
}

// moment reads a UTCTime or a GeneralizedTime, zero where it is neither.
func moment(validity *cryptobyte.String) time.Time {
	var raw cryptobyte.String
	var t tag.Tag
	if !validity.ReadAnyASN1(&raw, &t) {
		return time.Time{}
	}
	layouts := []string{"20060102150405Z0700", "200601021504Z0700"}
	if t == tag.UTCTime {
		layouts = []string{"060102150405Z0700", "0601021504Z0700"}
	}
	for _, layout := range layouts {
		if at, err := time.Parse(layout, string(raw)); err == nil {
			return utc(at)
		}
	}
	return time.Time{}
}
