// SPDX-License-Identifier: Apache-2.0

package material

import (
	"crypto/x509"
	"fmt"
	"math/big"

	"github.com/meshprobe/meshprobe/pkg/material"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// given are the certificates about which a revocation list is asked: those
// beside it, and those of --against.
func (e Exam) given() []*x509.Certificate {
	all := e.own()
	if a := e.Question.Against; a != nil {
		all = append(append(all, a.Roots...), a.Others...)
	}
	once, _ := distinct(all.Parsed())
	return once
}

// own are the certificates of the document itself.
func (e Exam) own() seen.Certs {
	return append(append(certs(e.CACert), e.presented()...), e.trusted()...)
}

// issuerOf is the certificate among others whose name and key made a list.
func issuerOf(list *x509.RevocationList, among []*x509.Certificate) *x509.Certificate {
	for _, c := range among {
		if string(c.RawSubject) == string(list.RawIssuer) && signedList(list, c) {
			return c
		}
	}
	return nil
}

// signedList checks the signature alone: CheckSignatureFrom would also mind
// that the issuer may not sign lists.
func signedList(list *x509.RevocationList, issuer *x509.Certificate) bool {
	return issuer.CheckSignature(list.SignatureAlgorithm, list.RawTBSRevocationList, list.Signature) == nil
}

// revokes says whether a list names a certificate.
func revokes(list *x509.RevocationList, c *x509.Certificate) bool {
	if string(c.RawIssuer) != string(list.RawIssuer) || c.SerialNumber == nil {
		return false
	}
	for _, entry := range list.RevokedCertificateEntries {
		if entry.SerialNumber != nil && entry.SerialNumber.Cmp(c.SerialNumber) == 0 {
			return true
		}
	}
	return false
}

// label names a list.
func label(l material.RevocationList) string {
	s := "revocation list of " + seen.Name(l.Issuer)
	if l.Number != "" {
		s += ", number " + l.Number
	}
	return s
}

// hexOf is a serial number as people write it.
func hexOf(n *big.Int) string { return fmt.Sprintf("%x", n) }
