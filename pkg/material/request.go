// SPDX-License-Identifier: Apache-2.0

package material

import (
	"crypto/x509"
	"encoding/hex"

	"golang.org/x/crypto/cryptobyte"
)

const (
	// maxListBytes is what is kept of the bytes of a revocation list.
	maxListBytes = 1 << 20
	// maxSerials is what is kept of the serial numbers in it.
	maxSerials = 100
)

// request describes a signing request.
func request(b block) Request {
	r := Request{DER: b.der, Line: b.line}
	req, err := x509.ParseCertificateRequest(b.der)
	if err != nil {
		r.Error = clip(err.Error())
		return r
	}
	if err := req.CheckSignature(); err != nil {
		r.SignatureError = clip(err.Error())
	}
	r.Subject = clip(req.Subject.String())
	for _, u := range req.URIs {
		r.URIs = addName(r.URIs, u.String())
	}
	for _, name := range req.DNSNames {
		r.DNSNames = addName(r.DNSNames, name)
	}
	for _, ip := range req.IPAddresses {
		r.IPs = addName(r.IPs, ip.String())
	}
	for _, e := range req.Extensions {
		r.Extensions = addName(r.Extensions, e.Id.String())
		if e.Id.String() == "2.5.29.19" {
			r.CA = isCA(cryptobyte.String(e.Value))
		}
	}
	r.SPKI = spkiHash(req.RawSubjectPublicKeyInfo)
	r.Key, r.Signature = keyType(req.PublicKey), req.SignatureAlgorithm.String()
	return r
}

// revocations describes a revocation list.
func revocations(b block) RevocationList {
	l := RevocationList{Bytes: len(b.der), Line: b.line}
	if len(b.der) <= maxListBytes {
		l.DER = b.der
	}
	list, err := x509.ParseRevocationList(b.der)
	if err != nil {
		l.Error = clip(err.Error())
		return l
	}
	l.Issuer, l.AKI = clip(list.Issuer.String()), hex.EncodeToString(list.AuthorityKeyId)
	if list.Number != nil {
		l.Number = clip(list.Number.String())
	}
	l.ThisUpdate, l.NextUpdate = utc(list.ThisUpdate), utc(list.NextUpdate)
	l.Signature = list.SignatureAlgorithm.String()
	l.Revoked = len(list.RevokedCertificateEntries)
	for _, e := range list.RevokedCertificateEntries[:min(l.Revoked, maxSerials)] {
		l.Serials = append(l.Serials, serial(e.SerialNumber))
	}
	for _, e := range list.Extensions {
		switch e.Id.String() {
		case "2.5.29.27":
			l.Delta = true
		case "2.5.29.28":
			l.Scoped = true
		}
	}
	return l
}
