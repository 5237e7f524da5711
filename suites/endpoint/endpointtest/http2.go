// SPDX-License-Identifier: Apache-2.0

package endpointtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2 is one HTTP/2 connection of a hostile server.
type h2 struct {
	*http2.Framer
	conn net.Conn
}

// frames is a good TLS server that leaves HTTP/2 to speak.
func frames(m Mesh, speak func(ctx context.Context, c h2)) Peer {
	return func(ctx context.Context, conn net.Conn) {
		cfg := m.config()
		cfg.NextProtos, cfg.MinVersion = []string{"h2"}, tls.VersionTLS13
		tc := tls.Server(conn, cfg)
		if tc.HandshakeContext(ctx) != nil {
			return
		}
		speak(ctx, h2{http2.NewFramer(tc, tc), tc})
		drain(tc)
	}
}

// request sends settings and reads up to the first CONNECT.
func (c h2) request(settings ...http2.Setting) (stream uint32, ok bool) {
	if c.WriteSettings(settings...) != nil {
		return 0, false
	}
	if _, err := io.ReadFull(c.conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return 0, false
	}
	for {
		f, err := c.ReadFrame()
		if err != nil {
			return 0, false
		}
		if h, is := f.(*http2.HeadersFrame); is {
			return h.StreamID, true
		}
	}
}

// fields is a header block of name, value pairs.
func fields(pairs ...string) []byte {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for i := 0; i+1 < len(pairs); i += 2 {
		_ = enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return block.Bytes()
}

// answer sends a header block.
func (c h2) answer(stream uint32, end bool, pairs ...string) {
	_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: fields(pairs...), EndHeaders: true, EndStream: end})
}

// responds answers the first CONNECT with respond.
func responds(m Mesh, respond func(c h2, stream uint32), settings ...http2.Setting) Peer {
	return frames(m, func(_ context.Context, c h2) {
		if stream, ok := c.request(settings...); ok {
			respond(c, stream)
		}
	})
}

// http2Peers break HTTP/2 before or in the answer to a CONNECT, beyond what
// hbonetest.Server does.
func http2Peers(m Mesh) map[string]Peer {
	return map[string]Peer{
		"h2-settings-endless":   frames(m, func(_ context.Context, c h2) { repeat(func() error { return c.WriteSettings() }) }),
		"h2-settings-huge":      frames(m, func(_ context.Context, c h2) { _ = c.WriteRawFrame(http2.FrameSettings, 0, 0, make([]byte, 6*2000)) }),
		"h2-settings-odd":       frames(m, func(_ context.Context, c h2) { _ = c.WriteRawFrame(http2.FrameSettings, 0, 0, make([]byte, 5)) }),
		"h2-settings-on-stream": frames(m, func(_ context.Context, c h2) { _ = c.WriteRawFrame(http2.FrameSettings, 0, 1, nil) }),
		"h2-ping-first-endless": frames(m, func(_ context.Context, c h2) { repeat(func() error { return c.WritePing(false, [8]byte{}) }) }),
		"h2-goaway-flood": frames(m, func(_ context.Context, c h2) {
			_ = c.WriteSettings()
			repeat(func() error { return c.WriteGoAway(0, http2.ErrCodeNo, nil) })
		}),
		"h2-unknown-frames": frames(m, func(_ context.Context, c h2) {
			_ = c.WriteSettings()
			repeat(func() error { return c.WriteRawFrame(0xfa, 0, 0, make([]byte, 1<<13)) })
		}),
		"h2-no-streams-allowed": responds(m, func(h2, uint32) {}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0}),
		"h2-header-list-of-1":   responds(m, func(h2, uint32) {}, http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: 1}),
		"h2-window-of-0":        responds(m, func(c h2, id uint32) { c.answer(id, false, ":status", "200") }, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}),
		"h2-window-too-large":   responds(m, func(h2, uint32) {}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31}),
		"h2-hpack-bomb":         responds(m, hpackBomb),
		"h2-hpack-garbage": responds(m, func(c h2, id uint32) {
			_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: bytes.Repeat([]byte{0xff}, 64), EndHeaders: true})
		}),
		"h2-empty-continuations": responds(m, func(c h2, id uint32) {
			_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: fields(":status", "200")})
			repeat(func() error { return c.WriteContinuation(id, false, nil) })
		}),
		"h2-1000-headers":     responds(m, thousandHeaders),
		"h2-data-on-stream-0": responds(m, func(c h2, _ uint32) { _ = c.WriteRawFrame(http2.FrameData, 0, 0, []byte("x")) }),
		"h2-window-update-0":  responds(m, func(c h2, id uint32) { _ = c.WriteRawFrame(http2.FrameWindowUpdate, 0, id, make([]byte, 4)) }),
		"h2-status-503":       responds(m, refusal("503", "text/plain", "upstream connect error or disconnect/reset before headers")),
		"h2-status-401":       responds(m, refusal("401", "text/plain", "")),
		"h2-status-204":       responds(m, func(c h2, id uint32) { c.answer(id, true, ":status", "204") }),
		"h2-status-302":       responds(m, func(c h2, id uint32) { c.answer(id, true, ":status", "302", "location", "https://example.org/") }),
		"h2-status-999":       responds(m, func(c h2, id uint32) { c.answer(id, true, ":status", "999") }),
		"h2-status-twice":     responds(m, func(c h2, id uint32) { c.answer(id, false, ":status", "200", ":status", "503") }),
		"h2-header-escape":    responds(m, refusal("403", "\x1b[2Jtext/html", "\x1b]0;owned\x07<script>alert(1)</script>")),
		"h2-body-escape":      responds(m, refusal("403", "text/html", "\x1b]0;owned\x07<script>alert(1)</script>")),
		"h2-error-body-40mib": responds(m, endlessBody),
		"h2-answer-then-goaway": responds(m, func(c h2, id uint32) {
			c.answer(id, false, ":status", "200")
			_ = c.WriteGoAway(id, http2.ErrCodeInternal, []byte("going"))
		}),
	}
}

// repeat writes until the client goes away.
func repeat(write func() error) {
	for write() == nil {
	}
}

// hpackBomb enters one field of almost a whole dynamic table and then names it,
// a byte each time, some 16 000 times.
func hpackBomb(c h2, id uint32) {
	block := fields(":status", "200", "bomb", strings.Repeat("b", 3900))
	block = append(block, bytes.Repeat([]byte{0x80 | 62}, 12<<10)...)
	_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true})
}

func thousandHeaders(c h2, id uint32) {
	pairs := []string{":status", "200"}
	for range 1000 {
		pairs = append(pairs, "x", "")
	}
	c.answer(id, false, pairs...)
}

// refusal is a status with a body.
func refusal(status, kind, body string) func(h2, uint32) {
	return func(c h2, id uint32) {
		c.answer(id, false, ":status", status, "content-type", kind, "server", "istio-envoy")
		_ = c.WriteData(id, true, []byte(body))
	}
}

// endlessBody refuses at length, and takes no notice of windows.
func endlessBody(c h2, id uint32) {
	c.answer(id, false, ":status", "503")
	for range 40 << 6 {
		if c.WriteData(id, false, make([]byte, 1<<14)) != nil {
			return
		}
	}
}
