// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"golang.org/x/net/http2"
)

// Phase says how far a tunnel came before it failed.
type Phase uint8

// The phases in their order. PhaseHandshake includes a client certificate that
// the server refuses after the client's handshake is over (TLS 1.3): such an
// alert arrives while SETTINGS are awaited, but it is the handshake it ends.
const (
	PhaseUnknown   Phase = iota
	PhaseDial            // TCP: refused, reset, timed out
	PhaseHandshake       // TLS: alert, own verification, ALPN, no certificate asked for
	PhaseSettings        // HTTP/2: no or wrong SETTINGS after a finished handshake
	PhaseConnect         // CONNECT: refused with a status, reset, GOAWAY, no answer
	PhaseStream          // after 200: reset, GOAWAY, connection lost
)

// String returns the phase in one lower-case word.
func (p Phase) String() string {
	switch p {
	case PhaseDial:
		return "dial"
	case PhaseHandshake:
		return "handshake"
	case PhaseSettings:
		return "settings"
	case PhaseConnect:
		return "connect"
	case PhaseStream:
		return "stream"
	case PhaseUnknown:
	}
	return "unknown"
}

// Layer tells the two tunnels of double HBONE apart.
type Layer uint8

// LayerOuter is also the only layer of single HBONE.
const (
	LayerOuter Layer = iota
	LayerInner
)

// String returns "outer" or "inner".
func (l Layer) String() string {
	if l == LayerInner {
		return "inner"
	}
	return "outer"
}

// Error is every failure of a client in this package: where (layer, phase,
// target) and, wrapped, what. It implements [net.Error].
type Error struct {
	Phase  Phase
	Layer  Layer
	Target string      // address that was dialed; for the inner layer, the outer authority
	Status int         // status of the CONNECT response, 0 while there is none
	Header http.Header // header of a CONNECT response that is not 200; nil otherwise
	Err    error
}

var _ net.Error = (*Error)(nil)

// Error names package, layer (the inner one only), phase, target and cause.
func (e *Error) Error() string {
	layer := ""
	if e.Layer == LayerInner {
		layer = "inner "
	}
	cause := fmt.Sprint(e.Err)
	if a, ok := RemoteAlert(e.Err); ok {
		cause = "remote alert " + AlertName(a)
	}
	return fmt.Sprintf("hbone: %s%s %s: %s", layer, e.Phase, e.Target, cause)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether a deadline was the cause.
func (e *Error) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.Err, &t) && t.Timeout()
}

// Temporary is part of [net.Error] and always false.
//
// Deprecated: as in [net.Error].
func (e *Error) Temporary() bool { return false }

// What an [*Error] may wrap, besides the typed errors below.
var (
	// ErrConfig: the caller's configuration cannot give a secure tunnel.
	ErrConfig = errors.New("unusable configuration")
	// ErrNoClientCertRequest: the server finished the handshake without asking
	// for a client certificate, so the mTLS is one-sided.
	ErrNoClientCertRequest = errors.New("server asked for no client certificate")
	// ErrNoSettings: the first frame was not SETTINGS, or none came in time.
	ErrNoSettings = errors.New("no HTTP/2 SETTINGS from the peer")
	// ErrRefused: the CONNECT was answered with another status than 200.
	ErrRefused = errors.New("CONNECT refused")
	// ErrStreamLimit: the peer's MAX_CONCURRENT_STREAMS tunnels are open and
	// none ended in time.
	ErrStreamLimit = errors.New("all streams that the peer allows are in use")
	// ErrConnClosed: the connection under the tunnel ended, by the peer (FIN,
	// RST, close_notify) or, when it wraps [net.ErrClosed], here.
	ErrConnClosed = errors.New("connection closed")
	// ErrHeaderList: a header block is larger than its receiver allows.
	ErrHeaderList = errors.New("header list too large")
	// ErrStalled: the peer stopped reading or answering PINGs.
	ErrStalled = errors.New("peer stalled")
)

// errPeerClosed is an orderly end of the connection: FIN or close_notify.
var errPeerClosed = errors.New("by the peer")

// ALPNError says that the server chose another application protocol than h2,
// or none (Got is empty).
type ALPNError struct{ Got string }

// Error names what was negotiated.
func (e *ALPNError) Error() string {
	if e.Got == "" {
		return "server negotiated no ALPN protocol, want h2"
	}
	return "server negotiated ALPN " + strconv.Quote(clip(e.Got)) + ", want h2"
}

// ResetError is an RST_STREAM (RFC 9113 §6.4). Remote says who sent it; a local
// one answers a peer that broke the protocol on this stream, or [Conn.Reset].
type ResetError struct {
	Code   http2.ErrCode
	Remote bool
}

// Error names side and code.
func (e *ResetError) Error() string {
	if e.Remote {
		return "stream reset by peer: " + e.Code.String()
	}
	return "stream reset: " + e.Code.String()
}

// GoAwayError is a GOAWAY received from the peer (RFC 9113 §6.8). Debug is
// printable ASCII of at most 256 bytes.
type GoAwayError struct {
	Code         http2.ErrCode
	LastStreamID uint32
	Debug        string
}

// Error names code, last stream and debug data.
func (e *GoAwayError) Error() string {
	s := fmt.Sprintf("peer sent GOAWAY %s, last stream %d", e.Code, e.LastStreamID)
	if e.Debug != "" {
		s += ", " + strconv.Quote(e.Debug)
	}
	return s
}

// ProtocolError says that the peer broke HTTP/2 in a way that ends the
// connection. Code is what it was told in GOAWAY.
type ProtocolError struct {
	Code   http2.ErrCode
	Reason string
	Err    error // may be nil
}

// Error names code and reason.
func (e *ProtocolError) Error() string {
	return fmt.Sprintf("peer broke HTTP/2: %s: %s", e.Code, e.Reason)
}

// Unwrap returns Err.
func (e *ProtocolError) Unwrap() error { return e.Err }

// printable bounds debug data of a peer to what is safe in a report.
func printable(b []byte) string {
	const limit = 256
	out := make([]byte, 0, min(len(b), limit))
	for _, c := range b[:min(len(b), limit)] {
		if c < 0x20 || c > 0x7e {
			c = '.'
		}
		out = append(out, c)
	}
	return string(out)
}
