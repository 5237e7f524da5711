// SPDX-License-Identifier: Apache-2.0

package spec

const rfc7468URL = "https://www.rfc-editor.org/rfc/rfc7468"

// Clauses of "Textual Encodings of PKIX, PKCS, and CMS Structures".
var (
	// PEMEncapsulation is the shape of a PEM block, on lines of its own. RFC 7468
	// writes no MUST there; a parser that does not find the lines finds nothing.
	PEMEncapsulation = Clause{
		Doc: "RFC 7468", Section: "2", Level: Must, URL: rfc7468URL + "#section-2",
		Quote: "Textual encoding begins with a line comprising \"-----BEGIN \", a label, and \"-----\", and ends with a line comprising \"-----END \", a label, and \"-----\".",
	}
)

func rfc7468() []Clause { return []Clause{PEMEncapsulation} }
