// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
)

// maxRequest bounds a CSR; one for RSA 8192 has about 2.5 KiB.
const maxRequest = 16 << 10

// CheckRequest reads the CSR of a cluster, DER or one PEM block, and checks
// what the signer relies on: its self-signature, the kind of its key, and that
// it asks for the cluster's own name and no other. Extensions that it asks for
// are ignored. Errors are [*RequestError].
func (p Profile) CheckRequest(csr []byte, clusterName string) (*x509.CertificateRequest, error) {
	fail := func(msg string, err error) (*x509.CertificateRequest, error) {
		return nil, &RequestError{Cluster: clusterName, Msg: msg, Err: err}
	}
	if len(csr) > maxRequest {
		return fail(fmt.Sprintf("%d bytes; at most %d are read", len(csr), maxRequest), nil)
	}
	der := csr
	if block, rest := pem.Decode(csr); block != nil {
		if block.Type != "CERTIFICATE REQUEST" || len(bytes.TrimSpace(rest)) > 0 {
			return fail("it is not one PEM block of type CERTIFICATE REQUEST", nil)
		}
		der = block.Bytes
	}
	req, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return fail("cannot be read", err)
	}
	if msg := p.checkKey(req.PublicKey); msg != "" {
		return fail(msg, nil)
	}
	switch req.SignatureAlgorithm {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA, x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512:
	default:
		return fail(fmt.Sprintf("signed with %s", req.SignatureAlgorithm), nil)
	}
	if err := req.CheckSignature(); err != nil {
		return fail("its signature does not prove possession of the key", err)
	}
	if msg := p.checkName(req, clusterName); msg != "" {
		return fail(msg, nil)
	}
	return req, nil
}

// checkName compares attribute by attribute, because the encoding of the same
// name may differ.
func (p Profile) checkName(req *x509.CertificateRequest, clusterName string) string {
	name := p.Name(clusterName)
	want := name.ToRDNSequence()
	var got []asn1.RawValue
	if rest, err := asn1.Unmarshal(req.RawSubject, &got); err != nil || len(rest) > 0 {
		return "its name cannot be read"
	}
	if req.Subject.String() != name.String() || len(req.Subject.Names) != len(want) || len(got) != len(want) {
		return fmt.Sprintf("it asks for the name %q, not %q", req.Subject.String(), name.String())
	}
	return ""
}
