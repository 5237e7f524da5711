// SPDX-License-Identifier: Apache-2.0

package spec

// Clauses of RFC 7301, TLS application-layer protocol negotiation.
var (
	// ALPNNoOverlap is the answer when no offered protocol is supported.
	ALPNNoOverlap = Clause{
		Doc: "RFC 7301", Section: "3.2", Level: Must,
		URL:   "https://www.rfc-editor.org/rfc/rfc7301#section-3.2",
		Quote: "In the event that the server supports no protocols that the client advertises, then the server SHALL respond with a fatal \"no_application_protocol\" alert.",
	}
)

func rfc7301() []Clause { return []Clause{ALPNNoOverlap} }
