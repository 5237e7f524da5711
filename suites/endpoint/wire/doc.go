// SPDX-License-Identifier: Apache-2.0

// Package wire looks at one endpoint from the outside and says what was there:
// whether TCP connected, what protocol answered, how the TLS handshake went and
// who ended it, the chain as it was sent, and for HBONE what came of the
// CONNECT and of the bytes in the tunnel.
//
// An [Observer] does the I/O and returns a [Seen]: plain values that survive
// JSON, hold public data only, and judge nothing.
//
//	o := &wire.Observer{Gate: wire.NewGate(8)}
//	seen := o.Observe(ctx, wire.Target{Kind: wire.HBONE, Address: "10.0.3.7:15008", To: "10.0.3.7:8080", Identity: id})
//
// Every handshake is a fresh TCP connection without resumption, and a client
// certificate is sent whatever authorities the server names. "Accepted" rests
// on something that was read after the handshake, "closed" says nothing of any
// certificate, and every alert has a sender.
//
// The client takes any server: trust is judged elsewhere, from the chain. It
// takes nothing for granted either. Certificates that crypto/x509 cannot parse
// are taken from the wire and read as far as they go; time, bytes and counts
// are bounded; nothing outlives a call.
package wire
