// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"time"

	"github.com/meshprobe/meshprobe/suites/seen"
)

// The bounds of what is kept of a peer.
const (
	maxCertificates = 100
	maxChain        = 1 << 20 // bytes of all certificates together
	maxText         = 512     // bytes of peer's text, before escaping
	maxHeaders      = 64
	maxHeaderBytes  = 8 << 10
	maxNames        = 32 // SANs per kind, CA names, resolved addresses
)

// Seen is one endpoint as it was met.
type Seen struct {
	At      time.Time `json:"at"` // when it began, by the observer's clock; chains are judged as of then
	Kind    Kind      `json:"kind"`
	Address string    `json:"address"`
	Client  string    `json:"client"` // "own", "none" or "foreign": which certificate was shown

	TCP         TCP     `json:"tcp"`
	Connections int     `json:"connections"` // TCP connections that were tried to find all this out
	Answer      Answer  `json:"answer"`      // what protocol it speaks
	Layer       *Layer  `json:"layer,omitempty"`
	Inner       *Layer  `json:"inner,omitempty"`  // double HBONE: the layer inside the tunnel
	Tunnel      *Tunnel `json:"tunnel,omitempty"` // of the innermost CONNECT that was answered with 200
	// Control is what the same endpoint made of the client's own certificate,
	// where another or none was shown and not accepted; nil where there is no own.
	Control     *Control `json:"control,omitempty"`
	TotalMS     float64  `json:"totalMs"`
	Interrupted bool     `json:"interrupted,omitempty"` // the caller's context ended it: nothing missing means anything
}

// Last is the layer in which the observation ended, nil where TCP failed.
func (s *Seen) Last() *Layer {
	if s.Inner != nil {
		return s.Inner
	}
	return s.Layer
}

// TCPOutcome is what came of a connect.
type TCPOutcome string

// The outcomes of a connect.
const (
	TCPConnected    TCPOutcome = "connected"
	TCPRefused      TCPOutcome = "refused"      // RST to the SYN: nobody listens
	TCPReset        TCPOutcome = "reset"        // connected, then reset before any byte was sent
	TCPTimeout      TCPOutcome = "timeout"      // nothing came back: a firewall, a dead address, a full backlog
	TCPUnreachable  TCPOutcome = "unreachable"  // ICMP, or no route: the network says so
	TCPUnresolvable TCPOutcome = "unresolvable" // the name has no address
	TCPLocal        TCPOutcome = "local"        // our own side failed: file descriptors, ports, permission
	TCPFailed       TCPOutcome = "failed"       // something else; see Error
)

// TCP is the first connection.
type TCP struct {
	Outcome   TCPOutcome `json:"outcome"`
	Error     string     `json:"error,omitempty"`
	Resolved  []string   `json:"resolved,omitempty"` // addresses of the name, empty for an IP and where somebody else dials
	Local     string     `json:"local,omitempty"`    // vantage: our end of the connection
	Remote    string     `json:"remote,omitempty"`   // theirs
	ConnectMS float64    `json:"connectMs,omitempty"`
}

// Protocol is what an endpoint speaks.
type Protocol string

// The protocols.
const (
	ProtocolTLS     Protocol = "tls"
	ProtocolHTTP    Protocol = "http/1" // plaintext
	ProtocolHTTP2   Protocol = "http/2" // plaintext: SETTINGS, or GOAWAY, without TLS
	ProtocolSSH     Protocol = "ssh"
	ProtocolProxy   Protocol = "proxy-protocol" // a PROXY header where an answer should be
	ProtocolBanner  Protocol = "banner"         // "220 ...", "+OK", "* OK": SMTP, FTP, POP3, IMAP
	ProtocolOther   Protocol = "other"          // bytes of something else
	ProtocolSilence Protocol = "silence"        // connected, and not a byte in time
	ProtocolClosed  Protocol = "closed"         // closed without a byte
	ProtocolNone    Protocol = ""               // no TCP
)

// Prompt is what an answer was an answer to.
type Prompt string

// The prompts, in the order in which they are tried.
const (
	PromptHello   Prompt = "ClientHello"
	PromptNothing Prompt = "nothing" // it spoke first
	PromptHTTP    Prompt = "HTTP request"
	PromptData    Prompt = "data" // what Target.Send holds
)

// Answer is what first came back.
type Answer struct {
	Protocol Protocol `json:"protocol"`
	To       Prompt   `json:"to,omitempty"`
	// Line is the first line as it came, escaped and bounded: status line, banner,
	// PROXY header, or the bytes. Never of TLS.
	Line string `json:"line,omitempty"`
	// Server is the Server header of an HTTP answer.
	Server string `json:"server,omitempty"`
	// Alert is the alert of a peer that speaks TLS and refused at once.
	Alert string `json:"alert,omitempty"`
	// End is how the first connection ended where no TLS came of it.
	End End `json:"end,omitempty"`
}

// End is how a connection ended, on the TCP level.
type End string

// The ends.
const (
	EndNone    End = ""        // it did not, or we ended it
	EndFIN     End = "FIN"     // closed in order, without close_notify
	EndRST     End = "RST"     // reset
	EndNotify  End = "notify"  // close_notify
	EndTimeout End = "timeout" // we gave up waiting
)

// The outcomes that a [Layer] adds to those of package seen. Refused is always
// the peer's alert.
const (
	// Rejected: we ended the handshake, because of what the server sent; OwnAlert
	// names what it was told, Error says why.
	Rejected seen.Outcome = "rejected"
	// Stalled: the connection is there and the handshake did not come to its end
	// in time; Messages and Received say how far it came.
	Stalled seen.Outcome = "stalled"
	// NotTLS: what answered speaks something else; see Seen.Answer.
	NotTLS seen.Outcome = "not TLS"
)

// Layer is one TLS handshake and, for HBONE, what is above it. The fields of
// seen.Layer are part of the same JSON object:
//
//   - Address, SNI, Offered (ALPN), Client (chain that was shown);
//   - Outcome: accepted (with Proof: "handshake", "session ticket", "application
//     data", "close_notify", "SETTINGS"), not refused, refused (Alert), rejected
//     (OwnAlert), closed (End), stalled, not TLS, unclear (Error);
//   - Version, Cipher, ALPN (as negotiated), Chain (as sent, leaf first, as PEM:
//     also what crypto/x509 cannot read), Asked (for a client certificate),
//     Authorities (CA names);
//   - HBONE: Settings, Authority, Status, Reset, Baggage.
type Layer struct {
	seen.Layer

	OwnAlert string `json:"ownAlert,omitempty"` // sent by us, RFC 8446 name
	AlertBy  Side   `json:"alertBy,omitempty"`  // who sent the alert that ended it
	End      End    `json:"end,omitempty"`      // with Closed: how
	Early    bool   `json:"early,omitempty"`    // refused, closed or stalled before our handshake was over

	OfferedMin    string   `json:"offeredMin,omitempty"` // TLS version
	OfferedMax    string   `json:"offeredMax,omitempty"`
	OfferedGroups []string `json:"offeredGroups,omitempty"` // empty for Go's default
	Group         string   `json:"group,omitempty"`         // key exchange, such as X25519MLKEM768
	PostQuantum   bool     `json:"postQuantum,omitempty"`   // whether Group is a hybrid with ML-KEM
	Retried       bool     `json:"retried,omitempty"`       // HelloRetryRequest

	OCSP       *OCSP    `json:"ocsp,omitempty"`       // stapled
	SCTs       int      `json:"scts,omitempty"`       // signed certificate timestamps in the handshake
	Signatures []string `json:"signatures,omitempty"` // algorithms that the server takes from clients

	Certificates []Certificate `json:"certificates,omitempty"` // of Chain, one by one, in the order as sent
	ChainCut     bool          `json:"chainCut,omitempty"`     // more was sent than is kept, or than came
	Unparsable   string        `json:"unparsable,omitempty"`   // the parser's words about the first certificate that cannot be parsed

	Messages []string `json:"messages,omitempty"` // handshake messages that came, as far as they could be read
	Received int64    `json:"received"`           // bytes that came on this layer, all told

	Data    string  `json:"data,omitempty"`   // first application bytes, escaped and bounded
	Inside  *Answer `json:"inside,omitempty"` // what protocol these bytes are
	RTTMS   float64 `json:"rttMs,omitempty"`
	TookMS  float64 `json:"tookMs,omitempty"`  // the handshake, proof included
	CrossMS float64 `json:"crossMs,omitempty"` // HBONE: CONNECT to its answer

	Headers map[string][]string `json:"headers,omitempty"` // of the CONNECT response, bounded
	GoAway  *GoAway             `json:"goAway,omitempty"`
	Refusal string              `json:"refusal,omitempty"` // why there was no status: the words of pkg/hbone
	// Broke is the RFC 9113 error code with which we answered what the peer did
	// against HTTP/2, empty where it did nothing.
	Broke string `json:"broke,omitempty"`
}

// Side is an end of a connection.
type Side string

// The sides.
const (
	Peer Side = "peer"
	Us   Side = "meshprobe"
)

// Certificate is what can be read of one certificate: everything where
// crypto/x509 parses it, what package cryptobyte finds where it does not. The
// DER is in Chain, at the same index. Empty fields were not found.
type Certificate struct {
	Subject   string    `json:"subject,omitempty"`
	Issuer    string    `json:"issuer,omitempty"`
	Serial    string    `json:"serial,omitempty"` // decimal; negative where it is
	NotBefore time.Time `json:"notBefore,omitzero"`
	NotAfter  time.Time `json:"notAfter,omitzero"`

	URIs   []string `json:"uris,omitempty"`
	DNS    []string `json:"dns,omitempty"`
	IPs    []string `json:"ips,omitempty"`
	Emails []string `json:"emails,omitempty"`

	CA        bool   `json:"ca,omitempty"`
	Key       string `json:"key,omitempty"`       // such as "ECDSA P-256", "RSA 2048", or an OID
	Signature string `json:"signature,omitempty"` // algorithm, or its OID
	SPKI      string `json:"spki,omitempty"`      // SHA-256 of the public key, hexadecimal
	SKI       string `json:"ski,omitempty"`       // as in the extension, hexadecimal
	AKI       string `json:"aki,omitempty"`
	SHA256    string `json:"sha256"` // of the DER
	Bytes     int    `json:"bytes"`

	Error string `json:"error,omitempty"` // the parser's words where crypto/x509 refuses it
	Where string `json:"where,omitempty"` // with Error: how far the reading came
}

// OCSP is a stapled response. Its signature is not verified.
type OCSP struct {
	Status     string    `json:"status"` // good, revoked, unknown, or unreadable
	ThisUpdate time.Time `json:"thisUpdate,omitzero"`
	NextUpdate time.Time `json:"nextUpdate,omitzero"`
	RevokedAt  time.Time `json:"revokedAt,omitzero"`
	Bytes      int       `json:"bytes"`
	Error      string    `json:"error,omitempty"`
}

// GoAway is a GOAWAY of the peer (RFC 9113 §6.8).
type GoAway struct {
	Code       string `json:"code"`
	LastStream uint32 `json:"lastStream"`
	Debug      string `json:"debug,omitempty"`
}

// Tunnel is what went through a CONNECT that was answered with 200.
type Tunnel struct {
	Sent     int64   `json:"sent"`
	Received int64   `json:"received"`
	Data     string  `json:"data,omitempty"`   // the first bytes that came, escaped and bounded
	Answer   *Answer `json:"answer,omitempty"` // what protocol they are
	FirstMS  float64 `json:"firstMs,omitempty"`
	// Closed is how it ended: "END_STREAM", "RST_STREAM CODE", "GOAWAY CODE",
	// "connection closed", or "open" where we ended it.
	Closed     string `json:"closed"`
	HalfClosed bool   `json:"halfClosed,omitempty"` // we had sent END_STREAM by then
	Error      string `json:"error,omitempty"`
}
