// SPDX-License-Identifier: Apache-2.0

// Package hbone speaks HBONE, the tunnel protocol of Istio's ambient mesh: an
// HTTP/2 CONNECT over mutual TLS 1.3, on one TCP connection that carries many
// tunnels.
//
// A client layers a [Dialer], a [Session] (one HTTP/2 connection) and a [Conn]
// (one tunnel):
//
//	d := &hbone.Dialer{TLS: hbone.ClientTLS(svid, verify)}
//	defer d.Close()
//	c, err := d.DialContext(ctx, "10.0.3.7:15008", "10.0.3.7:9080")
//
// [Dialer.Connect] and [Session.Open] expose the layers to whoever has to
// observe them, [Nest] puts a second, inner HBONE into a tunnel (double HBONE,
// the way between networks), and [Server] answers.
//
// Every failure is an [*Error] that names the layer and the [Phase] in which it
// happened and wraps what happened: a TLS alert ([RemoteAlert]), a refused
// CONNECT ([Error.Status]), [*ResetError], [*GoAwayError], [*ALPNError],
// [ErrNoSettings], [ErrConnClosed] and so on.
//
// Under TLS 1.3 a client's handshake returns before the server has judged the
// client's certificate (failures of that judgement arrive on the first read).
// So a Session exists only after the peer's SETTINGS were read, and
// [Acceptor] finds out the same for TLS without HTTP/2.
//
// The package stands on the Framer and HPACK of golang.org/x/net/http2, not on
// its Transport and Server, which cannot half-close a tunnel or reset it with
// a chosen code and hide SETTINGS and GOAWAY. It owns flow control, keepalive,
// stream limits and header limits; everything a peer sends is bounded in bytes
// and in time. It refuses to verify names: identities are SPIFFE IDs, and the
// caller judges them in tls.Config.VerifyConnection.
package hbone
