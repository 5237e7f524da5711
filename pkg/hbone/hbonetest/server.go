// SPDX-License-Identifier: Apache-2.0

package hbonetest

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Server is an HBONE server that is wrong in the one way that is set. It answers
// the first CONNECT of each connection; what it does not get wrong it does
// barely, so it is no echo server.
type Server struct {
	// TLS is the base of its handshake, required.
	TLS *tls.Config

	ALPNHTTP11          bool // offers only http/1.1
	NoALPN              bool // negotiates no application protocol
	NoClientCertRequest bool // asks for no client certificate
	ClosesInHandshake   bool // FIN instead of a ServerHello

	Mute             bool // says nothing after the handshake
	NoSettings       bool // starts with PING
	HTTP11           bool // speaks HTTP/1.1 after negotiating h2
	BadSettings      bool // SETTINGS with a frame size below the least one
	GoAwayAtOnce     bool // SETTINGS, then GOAWAY
	ClosesOnSettings bool // FIN right after SETTINGS

	AnswersNever     bool // no answer to CONNECT
	EndlessHeaders   bool // a header block without end
	HugeHeaders      bool // a header list above the client's limit
	HugeHeaderValue  bool // one value above it
	EndlessInterim   bool // 1xx without end
	BadStatus        bool // :status that is no number
	NoStatus         bool // a response without :status
	UpperCaseHeader  bool // a field name that HTTP/2 forbids
	DataFirst        bool // DATA before the response
	PushesPromise    bool // PUSH_PROMISE
	RefusesStream    bool // RST_STREAM REFUSED_STREAM instead of an answer
	GoAwayOnRequest  bool // GOAWAY that leaves the request out
	HeadersOnUnknown bool // a response on a stream nobody opened

	AnswerBeforeDial bool // 200 first, then RST_STREAM CONNECT_ERROR, as Istio's gateway can
	ResetMidStream   bool // 200, bytes, RST_STREAM INTERNAL_ERROR
	ClosesMidStream  bool // 200, bytes, FIN without END_STREAM
	NeverReads       bool // 200 and windows without bound, then no read
	HugeWindowUpdate bool // WINDOW_UPDATE beyond 2^31-1 on the connection
	OverrunsWindow   bool // DATA beyond the client's window
	HugeFrame        bool // a frame beyond the client's MAX_FRAME_SIZE
	BadPadding       bool // DATA whose padding is longer than the frame
	FloodsPing       bool // PINGs without end, and no read
	FloodsSettings   bool // SETTINGS without end, and no read
}

// Start serves on loopback until the test ends.
func (s Server) Start(t testing.TB) (addr string) {
	t.Helper()
	return Listen(t, s.Serve)
}

// Serve serves one connection until its client is done with it or ctx ends; it
// leaves the closing to its caller.
func (s Server) Serve(ctx context.Context, conn net.Conn) {
	cfg := s.TLS.Clone()
	cfg.NextProtos = []string{"h2"}
	if s.ALPNHTTP11 {
		cfg.NextProtos = []string{"http/1.1"}
	}
	if s.NoALPN {
		cfg.NextProtos = nil
	}
	if s.NoClientCertRequest {
		cfg.ClientAuth = tls.NoClientCert
	}
	if s.ClosesInHandshake {
		_, _ = conn.Read(make([]byte, 1<<16))
		return
	}
	tc := tls.Server(conn, cfg)
	if tc.HandshakeContext(ctx) == nil {
		s.serve(ctx, &peer{Framer: http2.NewFramer(tc, tc), conn: tc})
	}
}

// peer is one connection of a Server.
type peer struct {
	*http2.Framer
	conn net.Conn
	henc bytes.Buffer
}

func (s Server) serve(ctx context.Context, p *peer) {
	switch {
	case s.Mute:
		<-ctx.Done()
		return
	case s.NoSettings:
		_ = p.WritePing(false, [8]byte{})
	case s.HTTP11:
		_, _ = io.WriteString(p.conn, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
	case s.BadSettings:
		_ = p.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1})
	default:
		_ = p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	}
	if s.GoAwayAtOnce {
		_ = p.WriteGoAway(0, http2.ErrCodeNo, []byte("drain\x00ing"))
	}
	if s.ClosesOnSettings {
		return
	}
	if id, ok := p.request(); ok {
		s.answer(ctx, p, id)
	}
	_, _ = io.Copy(io.Discard, p.conn)
}

// request reads up to the first HEADERS.
func (p *peer) request() (id uint32, ok bool) {
	if _, err := io.ReadFull(p.conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return 0, false
	}
	for {
		f, err := p.ReadFrame()
		if err != nil {
			return 0, false
		}
		if h, ok := f.(*http2.HeadersFrame); ok {
			return h.StreamID, true
		}
	}
}

// headers writes a header block of name, value pairs.
func (p *peer) headers(id uint32, endHeaders bool, pairs ...string) {
	p.henc.Reset()
	enc := hpack.NewEncoder(&p.henc)
	for i := 0; i+1 < len(pairs); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.henc.Bytes(), EndHeaders: endHeaders})
}
