// SPDX-License-Identifier: Apache-2.0

package istioca

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// maxCertificates bounds a chain and a bundle together.
const maxCertificates = 64

// parseResponse reads CreateCertificate's answer as ztunnel does
// (src/tls/certificate.rs): the first element is the leaf, the last one holds
// the trust anchors, those between are the intermediates. Self-signed
// certificates between, which tools/certs puts there, are not sent on.
func parseResponse(chain []string) (certs, roots []*x509.Certificate, err error) {
	if len(chain) < 2 {
		return nil, nil, fmt.Errorf("%d elements in the chain; want a leaf and its trust anchors", len(chain))
	}
	for i, element := range chain {
		parsed, err := parsePEM(element)
		if err != nil {
			return nil, nil, fmt.Errorf("element %d: %w", i+1, err)
		}
		switch i {
		case len(chain) - 1:
			roots = parsed
		case 0:
			certs = parsed
		default:
			for _, c := range parsed {
				if !bytes.Equal(c.RawSubject, c.RawIssuer) || c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) != nil {
					certs = append(certs, c)
				}
			}
		}
		if len(certs)+len(roots) > maxCertificates {
			return nil, nil, fmt.Errorf("more than %d certificates", maxCertificates)
		}
	}
	return certs, roots, nil
}

func parsePEM(text string) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		if certs = append(certs, c); len(certs) > maxCertificates {
			return nil, fmt.Errorf("more than %d certificates", maxCertificates)
		}
	}
	if len(certs) == 0 {
		return nil, errors.New("no certificate in it")
	}
	return certs, nil
}
