// SPDX-License-Identifier: Apache-2.0

package spec

// Clauses of "PKCS #10: Certification Request Syntax".
var (
	// CSRSigned makes a request prove that who asks holds the key. RFC 2986 says
	// how a request is made; every CA refuses one that was made otherwise.
	CSRSigned = Clause{
		Doc: "RFC 2986", Section: "3", Level: Must, URL: "https://www.rfc-editor.org/rfc/rfc2986#section-3",
		Quote: "The CertificationRequestInfo value is signed with the subject entity's private key.",
	}
)

func rfc2986() []Clause { return []Clause{CSRSigned} }
