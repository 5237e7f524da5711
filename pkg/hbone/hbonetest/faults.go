// SPDX-License-Identifier: Apache-2.0

package hbonetest

import (
	"context"
	"strings"

	"golang.org/x/net/http2"
)

// answer is what a Server does with the first CONNECT.
func (s Server) answer(ctx context.Context, p *peer, id uint32) {
	switch {
	case s.AnswersNever:
		<-ctx.Done()
	case s.EndlessHeaders:
		p.headers(id, false, ":status", "200")
		for p.WriteContinuation(id, false, literal("x", strings.Repeat("y", 100))) == nil {
		}
	case s.HugeHeaders:
		pairs := []string{":status", "200"}
		for range 20 {
			pairs = append(pairs, "x", strings.Repeat("yz", 500))
		}
		p.headers(id, true, pairs...)
	case s.HugeHeaderValue:
		p.headers(id, true, ":status", "200", "x", strings.Repeat("yz", 10<<10))
	case s.EndlessInterim:
		for ctx.Err() == nil {
			p.headers(id, true, ":status", "103")
		}
	case s.BadStatus:
		p.headers(id, true, ":status", "ok")
	case s.NoStatus:
		p.headers(id, true, "server", "envoy")
	case s.UpperCaseHeader:
		_ = p.WriteHeaders(http2.HeadersFrameParam{
			StreamID: id, EndHeaders: true, BlockFragment: append(literal(":status", "200"), literal("Server", "x")...),
		})
	case s.DataFirst:
		_ = p.WriteData(id, false, []byte("early"))
	case s.PushesPromise:
		_ = p.WritePushPromise(http2.PushPromiseParam{StreamID: id, PromiseID: 2, EndHeaders: true})
	case s.RefusesStream:
		_ = p.WriteRSTStream(id, http2.ErrCodeRefusedStream)
	case s.GoAwayOnRequest:
		_ = p.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, []byte(strings.Repeat("calm ", 1000)))
	case s.HeadersOnUnknown:
		p.headers(id+100, true, ":status", "200")
	default:
		p.headers(id, true, ":status", "200")
		s.stream(ctx, p, id)
	}
}

// stream is what a Server does after its 200.
func (s Server) stream(ctx context.Context, p *peer, id uint32) {
	switch {
	case s.AnswerBeforeDial:
		_ = p.WriteRSTStream(id, http2.ErrCodeConnect)
	case s.ResetMidStream:
		_ = p.WriteData(id, false, []byte("bytes"))
		_ = p.WriteRSTStream(id, http2.ErrCodeInternal)
	case s.ClosesMidStream:
		_ = p.WriteData(id, false, []byte("bytes"))
		_ = p.conn.Close()
	case s.NeverReads:
		_ = p.WriteWindowUpdate(0, 1<<31-1-65535)
		<-ctx.Done()
	case s.HugeWindowUpdate:
		// One would do for a client that has not used up its window.
		_ = p.WriteWindowUpdate(0, 1<<31-1)
		_ = p.WriteWindowUpdate(0, 1<<31-1)
	case s.OverrunsWindow:
		for p.WriteData(id, false, make([]byte, 16<<10)) == nil {
		}
	case s.HugeFrame:
		_ = p.WriteRawFrame(http2.FrameData, 0, id, make([]byte, 2<<20))
	case s.BadPadding:
		_ = p.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, id, []byte{200, 1, 2})
	case s.FloodsPing:
		for p.WritePing(false, [8]byte{}) == nil {
		}
	case s.FloodsSettings:
		for p.WriteSettings() == nil {
		}
	}
}

// literal is an HPACK field, literal without indexing, new name (RFC 7541 §6.2.2).
func literal(name, value string) []byte {
	out := append([]byte{0, byte(len(name))}, name...)
	return append(append(out, byte(len(value))), value...)
}
