// SPDX-License-Identifier: Apache-2.0

package endpointtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"time"
)

// tampered edits the first flight of a TLS server on its way out; all that
// crypto/tls says up to its Finished is one Write.
type tampered struct {
	net.Conn
	edit   func(records [][]byte) [][]byte
	flight []byte // what was written first, unedited
}

func (c *tampered) Write(p []byte) (int, error) {
	if c.flight != nil {
		return c.Conn.Write(p)
	}
	c.flight = bytes.Clone(p)
	out := records(c.flight)
	if c.edit != nil && p[0] == typeHandshake { // an alert goes out as it is
		out = c.edit(out)
	}
	for _, r := range out {
		if _, err := c.Conn.Write(r); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// records splits a flight into its records, which share its memory.
func records(flight []byte) [][]byte {
	var out [][]byte
	for len(flight) >= 5 {
		n := min(5+int(flight[3])<<8+int(flight[4]), len(flight))
		out, flight = append(out, flight[:n:n]), flight[n:]
	}
	return out
}

// tampers is a TLS server with cfg whose first flight goes through edit.
func tampers(cfg *tls.Config, edit func([][]byte) [][]byte) Peer {
	return func(ctx context.Context, conn net.Conn) {
		tc := tls.Server(&tampered{Conn: conn, edit: edit}, cfg)
		if tc.HandshakeContext(ctx) == nil {
			_ = tc.CloseWrite()
		}
		drain(conn)
	}
}

// serverHello is a ServerHello that one can change (RFC 8446 §4.1.3).
type serverHello struct {
	fixed      []byte // legacy_version to legacy_compression_method
	extensions []byte
}

// editHello changes the ServerHello of a flight and leaves the rest.
func editHello(change func(*serverHello)) func([][]byte) [][]byte {
	return func(flight [][]byte) [][]byte {
		body := flight[0][5+4:]
		end := 2 + 32 + 1 + int(body[34]) + 2 + 1
		h := serverHello{bytes.Clone(body[:end]), bytes.Clone(body[end+2:])}
		change(&h)
		flight[0] = record(typeHandshake, 0x0303, message(2, h.bytes()...)...)
		return flight
	}
}

func (h *serverHello) bytes() []byte {
	n := len(h.extensions)
	return append(append(bytes.Clone(h.fixed), byte(n>>8), byte(n)), h.extensions...)
}

// add appends an extension.
func (h *serverHello) add(kind uint16, value ...byte) {
	h.extensions = append(h.extensions, byte(kind>>8), byte(kind), byte(len(value)>>8), byte(len(value)))
	h.extensions = append(h.extensions, value...)
}

// Extensions (RFC 8446 §4.2).
const (
	extALPN              = 16
	extSupportedVersions = 43
	extKeyShare          = 51
)

// retryRandom marks a ServerHello as a HelloRetryRequest (RFC 8446 §4.1.3).
var retryRandom = []byte("\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c")

// retry asks for a key share of the group.
func retry(group uint16) func(*serverHello) {
	return func(h *serverHello) {
		copy(h.fixed[2:], retryRandom)
		h.extensions = nil
		h.add(extSupportedVersions, 3, 4)
		h.add(extKeyShare, byte(group>>8), byte(group))
	}
}

// helloPeers are wrong in their ServerHello.
func helloPeers(m Mesh) map[string]Peer {
	old := m.config()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
	changed := func(change func(*serverHello)) Peer { return tampers(m.config(), editHello(change)) }
	return map[string]Peer{
		"tls10-only":              tampers(old, nil),
		"extension-duplicate":     changed(func(h *serverHello) { h.add(extSupportedVersions, 3, 4) }),
		"extension-unknown":       changed(func(h *serverHello) { h.add(0xfafa, 1, 2, 3) }),
		"extension-unasked":       changed(func(h *serverHello) { h.add(extALPN, 0, 3, 2, 'h', '2') }),
		"extension-truncated":     changed(func(h *serverHello) { h.extensions = append(h.extensions, 0, 51, 255, 255, 1) }),
		"version-from-the-future": changed(func(h *serverHello) { h.extensions = nil; h.add(extSupportedVersions, 3, 9) }),
		"cipher-not-offered":      changed(func(h *serverHello) { h.fixed[len(h.fixed)-3], h.fixed[len(h.fixed)-2] = 0x13, 0x99 }),
		"compression":             changed(func(h *serverHello) { h.fixed[len(h.fixed)-1] = 1 }),
		"session-id-other":        changed(func(h *serverHello) { h.fixed[35] ^= 0xff }),
		"key-share-missing":       changed(func(h *serverHello) { h.extensions = nil; h.add(extSupportedVersions, 3, 4) }),
		"key-share-garbage": changed(func(h *serverHello) {
			h.extensions = nil
			h.add(extSupportedVersions, 3, 4)
			h.add(extKeyShare, 0, 29, 0, 3, 1, 2, 3)
		}),
		"downgrade-marked":         tampers(m.tls12(), editHello(func(h *serverHello) { copy(h.fixed[26:], "DOWNGRD\x01") })),
		"retry-unknown-group":      changed(retry(0x9999)),
		"retry-offered-group":      changed(retry(29)),
		"retry-loop":               retriesForEver(m),
		"garbage-after-hello":      tampers(m.config(), func(flight [][]byte) [][]byte { return [][]byte{flight[0], bytes.Repeat([]byte{0xa5}, 1<<12)} }),
		"hello-then-silence":       stops(m, func(_ context.Context, conn net.Conn) { drain(conn) }),
		"hello-then-fin":           stops(m, func(_ context.Context, conn net.Conn) { finish(conn) }),
		"hello-then-rst":           stops(m, func(_ context.Context, conn net.Conn) { reset(conn) }),
		"hello-then-empty-records": stops(m, func(_ context.Context, conn net.Conn) { floods(conn, record(typeApplicationData, 0x0303)) }),
		"hello-byte-by-byte":       tampers(m.config(), bytewise),
		"flight-dripping":          drippingFlight(m),
	}
}

// tls12 is a good server that knows no TLS 1.3.
func (m Mesh) tls12() *tls.Config {
	cfg := m.config()
	cfg.MaxVersion = tls.VersionTLS12
	cfg.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	return cfg
}

// bytewise puts each byte of the ServerHello into a record of its own, which is
// legal.
func bytewise(flight [][]byte) [][]byte {
	var out [][]byte
	for _, b := range flight[0][5:] {
		out = append(out, record(typeHandshake, 0x0303, b))
	}
	return append(out, flight[1:]...)
}

// flightOf is the flight of a good server for the client that has just
// connected, which gets none of it.
func flightOf(ctx context.Context, conn net.Conn, cfg *tls.Config) [][]byte {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var flight [][]byte
	held := &tampered{Conn: conn, edit: func(r [][]byte) [][]byte {
		flight = r
		cancel()
		return nil
	}}
	_ = tls.Server(unclosable{held}, cfg).HandshakeContext(ctx)
	return flight
}

// unclosable survives the end of a handshake's context.
type unclosable struct{ net.Conn }

func (unclosable) Close() error { return nil }

func (c unclosable) Read(p []byte) (int, error) {
	if held, ok := c.Conn.(*tampered); ok && held.flight != nil {
		return 0, context.Canceled // what the client says next is not this server's
	}
	return c.Conn.Read(p)
}

// stops sends a ServerHello and goes on with then.
func stops(m Mesh, then Peer) Peer {
	return func(ctx context.Context, conn net.Conn) {
		flight := flightOf(ctx, conn, m.config())
		if len(flight) == 0 {
			finish(conn)
			return
		}
		_, _ = conn.Write(flight[0])
		then(ctx, conn)
	}
}

// drippingFlight is a good flight, too slow to be of use.
func drippingFlight(m Mesh) Peer {
	return func(ctx context.Context, conn net.Conn) {
		drips(ctx, conn, bytes.Join(flightOf(ctx, conn, m.config()), nil), 200*time.Millisecond)
	}
}

// retriesForEver answers every ClientHello with a HelloRetryRequest.
func retriesForEver(m Mesh) Peer {
	return func(ctx context.Context, conn net.Conn) {
		flight := flightOf(ctx, conn, m.config())
		if len(flight) == 0 {
			finish(conn)
			return
		}
		again := editHello(retry(uint16(tls.CurveP384)))(flight)[0]
		for {
			if _, err := conn.Write(again); err != nil {
				return
			}
			if len(hello(conn)) == 0 {
				return
			}
		}
	}
}
