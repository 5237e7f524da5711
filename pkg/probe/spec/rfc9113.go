// SPDX-License-Identifier: Apache-2.0

package spec

const (
	rfc9113Doc = "RFC 9113"
	rfc9113URL = "https://www.rfc-editor.org/rfc/rfc9113"
)

// Clauses of RFC 9113, HTTP/2.
var (
	// HTTP2ALPN names HTTP/2 over TLS.
	HTTP2ALPN = Clause{
		Doc: rfc9113Doc, Section: "3.2", Level: Must, URL: rfc9113URL + "#section-3.2",
		Quote: "HTTP/2 over TLS uses the \"h2\" protocol identifier.",
	}
	// HTTP2Preface requires SETTINGS first from the server.
	HTTP2Preface = Clause{
		Doc: rfc9113Doc, Section: "3.4", Level: Must, URL: rfc9113URL + "#section-3.4",
		Quote: "The server connection preface consists of a potentially empty SETTINGS frame (Section 6.5) that MUST be the first frame the server sends in the HTTP/2 connection.",
	}
	// HTTP2SettingsStart requires SETTINGS of both sides at the start.
	HTTP2SettingsStart = Clause{
		Doc: rfc9113Doc, Section: "6.5", Level: Must, URL: rfc9113URL + "#section-6.5",
		Quote: "A SETTINGS frame MUST be sent by both endpoints at the start of a connection and MAY be sent at any other time by either endpoint over the lifetime of the connection.",
	}
	// HTTP2MaxStreams advises against a low stream limit.
	HTTP2MaxStreams = Clause{
		Doc: rfc9113Doc, Section: "6.5.2", Level: May, URL: rfc9113URL + "#section-6.5.2",
		Quote: "It is recommended that this value be no smaller than 100, so as to not unnecessarily limit parallelism.",
	}
	// HTTP2SettingsAck requires an acknowledgement of SETTINGS.
	HTTP2SettingsAck = Clause{
		Doc: rfc9113Doc, Section: "6.5.3", Level: Must, URL: rfc9113URL + "#section-6.5.3",
		Quote: "Once all values have been processed, the recipient MUST immediately emit a SETTINGS frame with the ACK flag set.",
	}
	// HTTP2GoAway asks for GOAWAY before a connection closes.
	HTTP2GoAway = Clause{
		Doc: rfc9113Doc, Section: "6.8", Level: Should, URL: rfc9113URL + "#section-6.8",
		Quote: "Endpoints SHOULD always send a GOAWAY frame before closing a connection so that the remote peer can know whether a stream has been partially processed or not.",
	}
	// HTTP2ConnectAuthority says what a tunnel's authority is.
	HTTP2ConnectAuthority = Clause{
		Doc: rfc9113Doc, Section: "8.5", Level: Must, URL: rfc9113URL + "#section-8.5",
		Quote: "The \":authority\" pseudo-header field contains the host and port to connect to (equivalent to the authority-form of the request-target of CONNECT requests; see Section 3.2.3 of [HTTP/1.1]).",
	}
	// HTTP2ConnectPseudoHeaders forbids scheme and path in CONNECT.
	HTTP2ConnectPseudoHeaders = Clause{
		Doc: rfc9113Doc, Section: "8.5", Level: Must, URL: rfc9113URL + "#section-8.5",
		Quote: "The \":scheme\" and \":path\" pseudo-header fields MUST be omitted.",
	}
	// HTTP2ConnectAnswer makes 2xx follow the connection, not precede it.
	HTTP2ConnectAnswer = Clause{
		Doc: rfc9113Doc, Section: "8.5", Level: Must, URL: rfc9113URL + "#section-8.5",
		Quote: "Once this connection is successfully established, the proxy sends a HEADERS frame containing a 2xx-series status code to the client, as defined in Section 9.3.6 of [HTTP].",
	}
	// HTTP2TLSFloor is HTTP/2's own version floor, below ztunnel's.
	HTTP2TLSFloor = Clause{
		Doc: rfc9113Doc, Section: "9.2", Level: Must, URL: rfc9113URL + "#section-9.2",
		Quote: "Implementations of HTTP/2 MUST use TLS version 1.2 [TLS12] or higher for HTTP/2 over TLS.",
	}
)

func rfc9113() []Clause {
	return []Clause{
		HTTP2ALPN, HTTP2Preface, HTTP2SettingsStart, HTTP2MaxStreams,
		HTTP2SettingsAck, HTTP2GoAway, HTTP2ConnectAuthority,
		HTTP2ConnectPseudoHeaders, HTTP2ConnectAnswer, HTTP2TLSFloor,
	}
}
