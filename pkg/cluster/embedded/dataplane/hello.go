// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
)

// maxHello is where Envoy's tls_inspector gives up, too.
const maxHello = 64 << 10

var errHelloTooLarge = errors.New("ClientHello larger than 64 KiB")

// clientHello is what routes a connection before anyone terminates its TLS.
type clientHello struct {
	sni  string // lower case
	alpn []string
}

// The protocol names by which Istio's proxies recognise each other
// (istio pilot/pkg/networking/core/listener.go, allIstioMtlsALPNs).
func httpMarker(p string) bool {
	return p == "istio-http/1.0" || p == "istio-http/1.1" || p == "istio-h2"
}
func tcpMarker(p string) bool { return p == "istio-peer-exchange" || p == "istio" }
func marker(p string) bool    { return httpMarker(p) || tcpMarker(p) }

func (h *clientHello) offers(match func(string) bool) bool {
	return h != nil && slices.ContainsFunc(h.alpn, match)
}

// peeker reads a ClientHello and keeps every byte for whoever comes next.
type peeker struct {
	src io.Reader
	buf []byte
}

// fill reads until buf holds n bytes; it may hold more.
func (p *peeker) fill(n int) error {
	if n > maxHello+maxHello/4 {
		return errHelloTooLarge
	}
	for len(p.buf) < n {
		if len(p.buf) == cap(p.buf) {
			p.buf = slices.Grow(p.buf, max(2048, n-len(p.buf)))
		}
		got, err := p.src.Read(p.buf[len(p.buf):cap(p.buf)])
		p.buf = p.buf[:len(p.buf)+got]
		if err != nil && len(p.buf) < n {
			return err
		}
	}
	return nil
}

// hello returns the ClientHello, or nil where the peer speaks something else;
// bytes that only begin like TLS are something else, as to Envoy.
func (p *peeker) hello() (*clientHello, error) {
	const header, handshakeHeader = 5, 4
	var msg []byte
	for off := 0; ; {
		if err := p.fill(off + 1); err != nil {
			return nil, err
		}
		if p.buf[off] != 0x16 {
			return nil, nil //nolint:nilnil // no hello and no error: plaintext
		}
		if err := p.fill(off + header); err != nil {
			return nil, err
		}
		n := int(binary.BigEndian.Uint16(p.buf[off+3:]))
		if p.buf[off+1] != 3 || n == 0 || n > 16<<10 {
			return nil, nil //nolint:nilnil // as above
		}
		off += header
		if err := p.fill(off + n); err != nil {
			return nil, err
		}
		msg = append(msg, p.buf[off:off+n]...)
		off += n
		if len(msg) < handshakeHeader {
			continue
		}
		if msg[0] != 1 {
			return nil, nil //nolint:nilnil // as above
		}
		size := int(msg[1])<<16 | int(msg[2])<<8 | int(msg[3])
		if size > maxHello {
			return nil, errHelloTooLarge
		}
		if len(msg) >= handshakeHeader+size {
			h, ok := parseHello(msg[handshakeHeader : handshakeHeader+size])
			if !ok {
				return nil, nil //nolint:nilnil // as above
			}
			return h, nil
		}
	}
}

// wire is a cursor over a TLS structure (RFC 8446 §3); what does not fit makes
// it false for good.
type wire struct {
	b  []byte
	ok bool
}

func (w *wire) take(n int) []byte {
	if !w.ok || n > len(w.b) {
		w.b, w.ok = nil, false
		return nil
	}
	out := w.b[:n]
	w.b = w.b[n:]
	return out
}

func (w *wire) number(size int) int {
	n := 0
	for _, c := range w.take(size) {
		n = n<<8 | int(c)
	}
	return n
}

// vector takes a vector with a length of size bytes.
func (w *wire) vector(size int) *wire { return &wire{b: w.take(w.number(size)), ok: w.ok} }

// parseHello reads the body of a ClientHello (RFC 8446 §4.1.2).
func parseHello(body []byte) (*clientHello, bool) {
	const serverName, alpn = 0, 16
	h := new(clientHello)
	w := &wire{b: body, ok: true}
	w.take(2 + 32)
	w.vector(1)
	w.vector(2)
	w.vector(1)
	if len(w.b) == 0 {
		return h, w.ok
	}
	extensions := w.vector(2)
	ok := w.ok && len(w.b) == 0
	for ok && len(extensions.b) > 0 {
		kind := extensions.number(2)
		data := extensions.vector(2)
		ok = extensions.ok
		switch {
		case ok && kind == serverName:
			ok = h.readNames(data)
		case ok && kind == alpn:
			ok = h.readProtocols(data)
		}
	}
	return h, ok
}

// readNames reads RFC 6066 §3: one name of type host_name, at most 255 bytes.
func (h *clientHello) readNames(w *wire) bool {
	list := w.vector(2)
	for w.ok && list.ok && len(list.b) > 0 {
		kind := list.number(1)
		name := list.vector(2)
		if !list.ok || kind == 0 && (len(name.b) == 0 || len(name.b) > 255 || slices.Contains(name.b, 0)) {
			return false
		}
		if kind == 0 && h.sni == "" {
			h.sni = strings.ToLower(string(name.b))
		}
	}
	return w.ok && list.ok
}

// readProtocols reads RFC 7301 §3.1.
func (h *clientHello) readProtocols(w *wire) bool {
	list := w.vector(2)
	for w.ok && list.ok && len(list.b) > 0 {
		name := list.vector(1)
		if !list.ok || len(name.b) == 0 {
			return false
		}
		h.alpn = append(h.alpn, string(name.b))
	}
	return w.ok && list.ok
}

// replayed is a connection of which some bytes were read ahead. It keeps the
// half-close and the reset of the connection below.
type replayed struct {
	net.Conn
	ahead []byte
}

func (c *replayed) Read(p []byte) (int, error) {
	if len(c.ahead) > 0 {
		n := copy(p, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

// CloseWrite half-closes the connection below.
func (c *replayed) CloseWrite() error {
	closeWrite(c.Conn)
	return nil
}
