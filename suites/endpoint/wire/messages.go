// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"crypto/tls"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// Extensions (RFC 8446 §4.2, RFC 6962 §3.3.1).
const (
	extStatusRequest     = 5
	extSignatures        = 13
	extALPN              = 16
	extSCT               = 18
	extSupportedVersions = 43
	extAuthorities       = 47
	extKeyShare          = 51
)

// retryRandom is the random of a HelloRetryRequest (RFC 8446 §4.1.3).
const retryRandom = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91" +
	"\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

func messageName(typ byte) string {
	switch typ {
	case 0:
		return "HelloRequest"
	case msgServerHello:
		return "ServerHello"
	case 4:
		return "NewSessionTicket"
	case msgEncryptedExtensions:
		return "EncryptedExtensions"
	case msgCertificate:
		return "Certificate"
	case msgServerKeyExchange:
		return "ServerKeyExchange"
	case msgCertificateRequest:
		return "CertificateRequest"
	case msgServerHelloDone:
		return "ServerHelloDone"
	case 15:
		return "CertificateVerify"
	case msgFinished:
		return "Finished"
	case msgCertificateStatus:
		return "CertificateStatus"
	case 25:
		return "CompressedCertificate"
	default:
		return fmt.Sprintf("message %d", typ)
	}
}

// extensions calls f for each extension of a list without its length.
func extensions(s cryptobyte.String, f func(typ uint16, body cryptobyte.String)) {
	for {
		var typ uint16
		var body cryptobyte.String
		if !s.ReadUint16(&typ) || !s.ReadUint16LengthPrefixed(&body) {
			return
		}
		f(typ, body)
	}
}

func (r *reading) serverHello(body []byte) {
	s := cryptobyte.String(body)
	var version, cipher uint16
	var random []byte
	var session, exts cryptobyte.String
	if !s.ReadUint16(&version) || !s.ReadBytes(&random, 32) || !s.ReadUint8LengthPrefixed(&session) ||
		!s.ReadUint16(&cipher) || !s.Skip(1) {
		return
	}
	r.version, r.cipher = version, cipher
	if bytes.Equal(random, []byte(retryRandom)) {
		r.retried = true
	}
	if !s.ReadUint16LengthPrefixed(&exts) {
		return
	}
	extensions(exts, func(typ uint16, ext cryptobyte.String) {
		var group uint16
		switch typ {
		case extSupportedVersions:
			_ = ext.ReadUint16(&r.version)
		case extKeyShare:
			if ext.ReadUint16(&group) {
				r.group = tls.CurveID(group)
			}
		case extALPN:
			r.chosen(ext)
		case extSCT:
			r.scts = countSCTs(ext)
		}
	})
}

func (r *reading) encryptedExtensions(body []byte) {
	s := cryptobyte.String(body)
	var exts cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&exts) {
		return
	}
	extensions(exts, func(typ uint16, ext cryptobyte.String) {
		if typ == extALPN {
			r.chosen(ext)
		}
	})
}

func (r *reading) chosen(ext cryptobyte.String) {
	var list, proto cryptobyte.String
	if ext.ReadUint16LengthPrefixed(&list) && list.ReadUint8LengthPrefixed(&proto) {
		r.alpn = string(proto)
	}
}

func (r *reading) leafExtensions(exts cryptobyte.String) {
	extensions(exts, func(typ uint16, ext cryptobyte.String) {
		switch typ {
		case extStatusRequest:
			r.ocsp = ocspOf(ext)
		case extSCT:
			r.scts = countSCTs(ext)
		}
	})
}

// ocspOf takes the response out of a CertificateStatus (RFC 6066 §8).
func ocspOf(body []byte) []byte {
	s := cryptobyte.String(body)
	var typ uint8
	var n uint32
	var resp []byte
	if !s.ReadUint8(&typ) || typ != 1 || !s.ReadUint24(&n) || !s.ReadBytes(&resp, int(n)) {
		return nil
	}
	return bytes.Clone(resp)
}

func countSCTs(ext cryptobyte.String) int {
	var list, sct cryptobyte.String
	if !ext.ReadUint16LengthPrefixed(&list) {
		return 0
	}
	n := 0
	for list.ReadUint16LengthPrefixed(&sct) {
		n++
	}
	return n
}

// serverKeyExchange reads the group of an ephemeral exchange (RFC 8422 §5.4).
func (r *reading) serverKeyExchange(body []byte) {
	const namedCurve = 3
	if len(body) >= 3 && body[0] == namedCurve {
		r.group = tls.CurveID(uint16(body[1])<<8 | uint16(body[2]))
	}
}

func (r *reading) certificateRequest(body []byte) {
	r.asked = true
	s := cryptobyte.String(body)
	var skipped, list cryptobyte.String
	if r.version != tls.VersionTLS13 {
		if s.ReadUint8LengthPrefixed(&skipped) && s.ReadUint16LengthPrefixed(&list) {
			r.readSignatures(list)
			r.readAuthorities(s)
		}
		return
	}
	if !s.ReadUint8LengthPrefixed(&skipped) || !s.ReadUint16LengthPrefixed(&list) {
		return
	}
	extensions(list, func(typ uint16, ext cryptobyte.String) {
		switch typ {
		case extSignatures:
			var algorithms cryptobyte.String
			if ext.ReadUint16LengthPrefixed(&algorithms) {
				r.readSignatures(algorithms)
			}
		case extAuthorities:
			r.readAuthorities(ext)
		}
	})
}

func (r *reading) readSignatures(list cryptobyte.String) {
	var alg uint16
	for len(r.signatures) < maxNames && list.ReadUint16(&alg) {
		r.signatures = append(r.signatures, tls.SignatureScheme(alg))
	}
}

func (r *reading) readAuthorities(s cryptobyte.String) {
	var list, dn cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) {
		return
	}
	for len(r.authorities) < maxNames && list.ReadUint16LengthPrefixed(&dn) {
		r.authorities = append(r.authorities, bytes.Clone(dn))
	}
}
