// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"crypto/sha256"
	encasn1 "encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// scavenge reads of a certificate what can be read (RFC 5280 §4.1), field by
// field, and says in Where at which it had to stop. It takes what crypto/x509
// refuses: negative serials, malformed names and SANs, unknown keys.
func scavenge(der []byte) Certificate {
	var c Certificate
	outer := cryptobyte.String(der)
	var cert, tbs cryptobyte.String
	if !outer.ReadASN1(&cert, asn1.SEQUENCE) {
		return stop(c, "certificate")
	}
	if !cert.ReadASN1(&tbs, asn1.SEQUENCE) {
		return stop(c, "tbsCertificate")
	}
	var skipped, validity, spki cryptobyte.String
	if !tbs.SkipOptionalASN1(asn1.Tag(0).ContextSpecific().Constructed()) {
		return stop(c, "version")
	}
	if !readSerial(&tbs, &c) {
		return stop(c, "serialNumber")
	}
	if !tbs.ReadASN1(&skipped, asn1.SEQUENCE) {
		return stop(c, "signature")
	}
	c.Signature = oidName(skipped)
	var issuer, subject cryptobyte.String
	if !tbs.ReadASN1Element(&issuer, asn1.SEQUENCE) {
		return stop(c, "issuer")
	}
	c.Issuer = nameOf(issuer)
	if !tbs.ReadASN1(&validity, asn1.SEQUENCE) {
		return stop(c, "validity")
	}
	from, okFrom := readTime(&validity)
	until, okUntil := readTime(&validity)
	c.NotBefore, c.NotAfter = from, until
	if !tbs.ReadASN1Element(&subject, asn1.SEQUENCE) {
		return stop(c, "subject")
	}
	c.Subject = nameOf(subject)
	if !tbs.ReadASN1Element(&spki, asn1.SEQUENCE) {
		return stop(c, "subjectPublicKeyInfo")
	}
	sum := sha256.Sum256(spki)
	c.SPKI, c.Key = hex.EncodeToString(sum[:]), scavengeKey(spki)
	if !tbs.SkipOptionalASN1(asn1.Tag(1).ContextSpecific()) || !tbs.SkipOptionalASN1(asn1.Tag(2).ContextSpecific()) {
		return stop(c, "unique identifiers")
	}
	if where := scavengeExtensions(tbs, &c); where != "" {
		return stop(c, where)
	}
	if !okFrom || !okUntil {
		return stop(c, "validity")
	}
	return c
}

func stop(c Certificate, where string) Certificate {
	c.Where = "could not be read: " + where
	return c
}

func readSerial(tbs *cryptobyte.String, c *Certificate) bool {
	strict := *tbs
	n := new(big.Int)
	if strict.ReadASN1Integer(n) && n.BitLen() <= 8*64 {
		*tbs = strict
		c.Serial = n.String()
		return true
	}
	var raw cryptobyte.String
	if !tbs.ReadASN1(&raw, asn1.INTEGER) {
		return false
	}
	c.Serial = "0x" + hex.EncodeToString(cut(raw))
	return true
}

func readTime(s *cryptobyte.String) (t time.Time, ok bool) {
	var raw cryptobyte.String
	var tag asn1.Tag
	strict := *s
	if strict.PeekASN1Tag(asn1.UTCTime) && strict.ReadASN1UTCTime(&t) ||
		strict.PeekASN1Tag(asn1.GeneralizedTime) && strict.ReadASN1GeneralizedTime(&t) {
		*s = strict
		return t.UTC(), true
	}
	if !s.ReadAnyASN1(&raw, &tag) {
		return time.Time{}, false
	}
	for _, layout := range []string{"20060102150405Z0700", "060102150405Z0700", "200601021504Z0700", "0601021504Z0700"} {
		if t, err := time.Parse(layout, string(raw[:min(len(raw), 32)])); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// scavengeKey names a public key by its algorithm.
func scavengeKey(spki cryptobyte.String) string {
	var body, alg cryptobyte.String
	if !spki.ReadASN1(&body, asn1.SEQUENCE) || !body.ReadASN1(&alg, asn1.SEQUENCE) {
		return ""
	}
	name := oidName(alg)
	var skipped, rest cryptobyte.String
	if alg.ReadASN1(&skipped, asn1.OBJECT_IDENTIFIER) && name == "EC" && alg.ReadASN1Element(&rest, asn1.OBJECT_IDENTIFIER) {
		return name + " " + oidName(rest)
	}
	var bits []byte
	n := new(big.Int)
	if name == "RSA" && body.ReadASN1BitStringAsBytes(&bits) {
		key := cryptobyte.String(bits)
		if key.ReadASN1(&rest, asn1.SEQUENCE) && rest.ReadASN1Integer(n) {
			return fmt.Sprintf("RSA %d", n.BitLen())
		}
	}
	return name
}

// oidName reads the OID that s begins with.
func oidName(s cryptobyte.String) string {
	var oid encasn1.ObjectIdentifier
	if !s.ReadASN1ObjectIdentifier(&oid) {
		return ""
	}
	switch text := oid.String(); text {
	case "1.2.840.10045.2.1":
		return "EC"
	case "1.2.840.113549.1.1.1":
		return "RSA"
	case "1.3.101.112":
		return "Ed25519"
	case "1.2.840.10045.3.1.7":
		return "P-256"
	case "1.3.132.0.33":
		return "P-224"
	case "1.3.132.0.34":
		return "P-384"
	case "1.3.132.0.35":
		return "P-521"
	case "1.2.840.10045.4.3.2":
		return "ECDSA-SHA256"
	case "1.2.840.10045.4.3.3":
		return "ECDSA-SHA384"
	case "1.2.840.113549.1.1.5":
		return "SHA1-RSA"
	case "1.2.840.113549.1.1.11":
		return "SHA256-RSA"
	default:
		return clip(text)
	}
}

// nameOf is a distinguished name as text, whatever its strings hold.
func nameOf(der []byte) string {
	s := cryptobyte.String(der)
	var rdns cryptobyte.String
	if !s.ReadASN1(&rdns, asn1.SEQUENCE) {
		return "(unreadable name)"
	}
	var parts []string
	for len(rdns) > 0 && len(parts) < maxNames {
		var set, atv, value cryptobyte.String
		var tag asn1.Tag
		if !rdns.ReadASN1(&set, asn1.SET) {
			parts = append(parts, "(unreadable)")
			break
		}
		for len(set) > 0 && len(parts) < maxNames {
			var oid encasn1.ObjectIdentifier
			if !set.ReadASN1(&atv, asn1.SEQUENCE) || !atv.ReadASN1ObjectIdentifier(&oid) || !atv.ReadAnyASN1(&value, &tag) {
				parts = append(parts, "(unreadable)")
				break
			}
			parts = append(parts, attribute(oid)+"="+clip(string(value)))
		}
	}
	return strings.Join(parts, ",")
}

func attribute(oid encasn1.ObjectIdentifier) string {
	switch text := oid.String(); text {
	case "2.5.4.3":
		return "CN"
	case "2.5.4.5":
		return "SERIALNUMBER"
	case "2.5.4.6":
		return "C"
	case "2.5.4.7":
		return "L"
	case "2.5.4.8":
		return "ST"
	case "2.5.4.10":
		return "O"
	case "2.5.4.11":
		return "OU"
	default:
		return clip(text)
	}
}

// scavengeExtensions reads the extensions that say who a certificate is. It
// returns which could not be read.
func scavengeExtensions(tbs cryptobyte.String, c *Certificate) (where string) {
	if tbs.Empty() {
		return ""
	}
	var wrapped, list cryptobyte.String
	if !tbs.ReadASN1(&wrapped, asn1.Tag(3).ContextSpecific().Constructed()) || !wrapped.ReadASN1(&list, asn1.SEQUENCE) {
		return "extensions"
	}
	for n := 0; !list.Empty() && n < maxHeaders; n++ {
		var ext, value cryptobyte.String
		var oid encasn1.ObjectIdentifier
		if !list.ReadASN1(&ext, asn1.SEQUENCE) || !ext.ReadASN1ObjectIdentifier(&oid) ||
			!ext.SkipOptionalASN1(asn1.BOOLEAN) || !ext.ReadASN1(&value, asn1.OCTET_STRING) {
			return fmt.Sprintf("extension %d", n+1)
		}
		ok := true
		switch name := oid.String(); name {
		case "2.5.29.17":
			ok = scavengeSANs(value, c)
		case "2.5.29.19":
			var constraints cryptobyte.String
			ok = value.ReadASN1(&constraints, asn1.SEQUENCE)
			if ok && constraints.PeekASN1Tag(asn1.BOOLEAN) {
				ok = constraints.ReadASN1Boolean(&c.CA)
			}
		case "2.5.29.14":
			var id cryptobyte.String
			ok = value.ReadASN1(&id, asn1.OCTET_STRING)
			c.SKI = hex.EncodeToString(cut(id))
		case "2.5.29.35":
			var aki, id cryptobyte.String
			ok = value.ReadASN1(&aki, asn1.SEQUENCE)
			if ok && aki.ReadASN1(&id, asn1.Tag(0).ContextSpecific()) {
				c.AKI = hex.EncodeToString(cut(id))
			}
		}
		if !ok {
			where = "extension " + oid.String()
		}
	}
	return where
}

func scavengeSANs(value cryptobyte.String, c *Certificate) bool {
	var names cryptobyte.String
	if !value.ReadASN1(&names, asn1.SEQUENCE) {
		return false
	}
	for n := 0; !names.Empty() && n < 4*maxNames; n++ {
		var name cryptobyte.String
		var tag asn1.Tag
		if !names.ReadAnyASN1(&name, &tag) {
			return false
		}
		switch text := clip(string(name)); tag {
		case asn1.Tag(1).ContextSpecific():
			c.Emails = appendName(c.Emails, text)
		case asn1.Tag(2).ContextSpecific():
			c.DNS = appendName(c.DNS, text)
		case asn1.Tag(6).ContextSpecific():
			c.URIs = appendName(c.URIs, text)
		case asn1.Tag(7).ContextSpecific():
			if ip, ok := netip.AddrFromSlice(name); ok {
				text = ip.String()
			}
			c.IPs = appendName(c.IPs, text)
		default: // directory names and the like: nobody's identity here
		}
	}
	return true
}

func appendName(names []string, name string) []string {
	if len(names) >= maxNames {
		return names
	}
	return append(names, name)
}
