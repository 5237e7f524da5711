// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto/x509"
	"encoding/asn1"
)

// oidKeyUsage is id-ce-keyUsage, RFC 5280 §4.2.1.3.
var oidKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 15}

// critical says whether a certificate has an extension and marks it critical.
func critical(cert *x509.Certificate, oid asn1.ObjectIdentifier) bool {
	for _, e := range cert.Extensions {
		if e.Id.Equal(oid) {
			return e.Critical
		}
	}
	return false
}
