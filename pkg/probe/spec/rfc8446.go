// SPDX-License-Identifier: Apache-2.0

package spec

const (
	rfc8446Doc = "RFC 8446"
	rfc8446URL = "https://www.rfc-editor.org/rfc/rfc8446"
)

// Clauses of RFC 8446, TLS 1.3.
var (
	// TLSNegotiated ends a handshake without common parameters.
	TLSNegotiated = Clause{
		Doc: rfc8446Doc, Section: "4.1.1", Level: Must, URL: rfc8446URL + "#section-4.1.1",
		Quote: "If the server is unable to negotiate a supported set of parameters (i.e., there is no overlap between the client and server parameters), it MUST abort the handshake with either a \"handshake_failure\" or \"insufficient_security\" fatal alert (see Section 6).",
	}
	// TLSAuthoritiesGuide is how a server tells which CAs it accepts.
	TLSAuthoritiesGuide = Clause{
		Doc: rfc8446Doc, Section: "4.2.4", Level: Should, URL: rfc8446URL + "#section-4.2.4",
		Quote: "The \"certificate_authorities\" extension is used to indicate the certificate authorities (CAs) which an endpoint supports and which SHOULD be used by the receiving endpoint to guide certificate selection.",
	}
	// TLSCertificateRequest is how a server asks for a client certificate. A
	// mesh makes it a Must: see IstioClientCertRequired.
	TLSCertificateRequest = Clause{
		Doc: rfc8446Doc, Section: "4.3.2", Level: May, URL: rfc8446URL + "#section-4.3.2",
		Quote: "A server which is authenticating with a certificate MAY optionally request a certificate from the client.",
	}
	// TLSLeafFirst puts the sender's own certificate first.
	TLSLeafFirst = Clause{
		Doc: rfc8446Doc, Section: "4.4.2", Level: Must, URL: rfc8446URL + "#section-4.4.2",
		Quote: "The sender's certificate MUST come in the first CertificateEntry in the list.",
	}
	// TLSChainOrder orders the rest of the chain.
	TLSChainOrder = Clause{
		Doc: rfc8446Doc, Section: "4.4.2", Level: Should, URL: rfc8446URL + "#section-4.4.2",
		Quote: "Each following certificate SHOULD directly certify the one immediately preceding it.",
	}
	// TLSAnchorOmitted lets the root stay at home, and nothing but the root.
	TLSAnchorOmitted = Clause{
		Doc: rfc8446Doc, Section: "4.4.2", Level: May, URL: rfc8446URL + "#section-4.4.2",
		Quote: "Because certificate validation requires that trust anchors be distributed independently, a certificate that specifies a trust anchor MAY be omitted from the chain, provided that supported peers are known to possess any omitted certificates.",
	}
	// TLSServerCertificate forbids a server without a certificate.
	TLSServerCertificate = Clause{
		Doc: rfc8446Doc, Section: "4.4.2", Level: Must, URL: rfc8446URL + "#section-4.4.2",
		Quote: "The server's certificate_list MUST always be non-empty.",
	}
	// TLSCertificateRequired is the answer to a client without a certificate.
	TLSCertificateRequired = Clause{
		Doc: rfc8446Doc, Section: "4.4.2.4", Level: May, URL: rfc8446URL + "#section-4.4.2.4",
		Quote: "If the client does not send any certificates (i.e., it sends an empty Certificate message), the server MAY at its discretion either continue the handshake without client authentication or abort the handshake with a \"certificate_required\" alert.",
	}
	// TLSCloseNotify ends a connection in a way that cannot be forged.
	TLSCloseNotify = Clause{
		Doc: rfc8446Doc, Section: "6.1", Level: Must, URL: rfc8446URL + "#section-6.1",
		Quote: "Each party MUST send a \"close_notify\" alert before closing its write side of the connection, unless it has already sent some error alert.",
	}
	// TLSFatalAlert makes a refusal say why.
	TLSFatalAlert = Clause{
		Doc: rfc8446Doc, Section: "6.2", Level: Should, URL: rfc8446URL + "#section-6.2",
		Quote: "Whenever an implementation encounters a fatal error condition, it SHOULD send an appropriate fatal alert and MUST close the connection without sending or receiving any additional data.",
	}
	// TLSUnknownCA is the alert for a chain that reaches no trust anchor.
	TLSUnknownCA = Clause{
		Doc: rfc8446Doc, Section: "6.2", Level: Should, URL: rfc8446URL + "#section-6.2",
		Quote: "A valid certificate chain or partial chain was received, but the certificate was not accepted because the CA certificate could not be located or could not be matched with a known trust anchor.",
	}
	// TLSVersionAlert is the alert for a version below the floor.
	TLSVersionAlert = Clause{
		Doc: rfc8446Doc, Section: "6.2", Level: Should, URL: rfc8446URL + "#section-6.2",
		Quote: "The protocol version the peer has attempted to negotiate is recognized but not supported (see Appendix D).",
	}
)

func rfc8446() []Clause {
	return []Clause{
		TLSNegotiated, TLSAuthoritiesGuide, TLSCertificateRequest, TLSLeafFirst, TLSChainOrder,
		TLSAnchorOmitted, TLSServerCertificate, TLSCertificateRequired,
		TLSCloseNotify, TLSFatalAlert, TLSUnknownCA, TLSVersionAlert,
	}
}
