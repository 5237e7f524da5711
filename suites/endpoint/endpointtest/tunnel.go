// SPDX-License-Identifier: Apache-2.0

package endpointtest

import (
	"context"
	"crypto/tls"
	"io"
	"net"

	"golang.org/x/net/http2"

	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/pkg/hbone/hbonetest"
)

// tunnelPeers answer a CONNECT with 200 and turn hostile in the tunnel, and
// those of hbonetest that say something else than http2Peers.
func tunnelPeers(m Mesh) map[string]Peer {
	base := m.config()
	base.MinVersion = tls.VersionTLS13
	faulty := func(s hbonetest.Server) Peer {
		s.TLS = base
		return s.Serve
	}
	opened := func(then func(c h2, id uint32)) Peer {
		return responds(m, func(c h2, id uint32) {
			c.answer(id, false, ":status", "200")
			then(c, id)
		})
	}
	return map[string]Peer{
		"hbone-no-client-cert-request": faulty(hbonetest.Server{NoClientCertRequest: true}),
		"hbone-alpn-http1":             faulty(hbonetest.Server{ALPNHTTP11: true}),
		"hbone-alpn-none":              faulty(hbonetest.Server{NoALPN: true}),
		"hbone-http1-inside":           faulty(hbonetest.Server{HTTP11: true}),
		"hbone-bad-settings":           faulty(hbonetest.Server{BadSettings: true}),
		"hbone-no-settings":            faulty(hbonetest.Server{NoSettings: true}),
		"hbone-mute":                   faulty(hbonetest.Server{Mute: true}),
		"hbone-goaway-at-once":         faulty(hbonetest.Server{GoAwayAtOnce: true}),
		"hbone-closes-on-settings":     faulty(hbonetest.Server{ClosesOnSettings: true}),
		"hbone-goaway-on-request":      faulty(hbonetest.Server{GoAwayOnRequest: true}),
		"hbone-answers-never":          faulty(hbonetest.Server{AnswersNever: true}),
		"hbone-refuses-stream":         faulty(hbonetest.Server{RefusesStream: true}),
		"hbone-push-promise":           faulty(hbonetest.Server{PushesPromise: true}),
		"hbone-1xx-flood":              faulty(hbonetest.Server{EndlessInterim: true}),
		"hbone-continuation-flood":     faulty(hbonetest.Server{EndlessHeaders: true}),
		"hbone-header-list-too-large":  faulty(hbonetest.Server{HugeHeaders: true}),
		"hbone-data-first":             faulty(hbonetest.Server{DataFirst: true}),
		"hbone-no-status":              faulty(hbonetest.Server{NoStatus: true}),
		"hbone-answer-before-dial":     faulty(hbonetest.Server{AnswerBeforeDial: true}),
		"hbone-reset-mid-stream":       faulty(hbonetest.Server{ResetMidStream: true}),
		"hbone-closes-mid-stream":      faulty(hbonetest.Server{ClosesMidStream: true}),
		"hbone-window-update-overflow": faulty(hbonetest.Server{HugeWindowUpdate: true}),
		"hbone-window-overrun":         faulty(hbonetest.Server{OverrunsWindow: true}),
		"hbone-frame-too-large":        faulty(hbonetest.Server{HugeFrame: true}),
		"hbone-bad-padding":            faulty(hbonetest.Server{BadPadding: true}),
		"hbone-ping-flood":             faulty(hbonetest.Server{FloodsPing: true}),
		"hbone-settings-flood":         faulty(hbonetest.Server{FloodsSettings: true}),
		"tunnel-of-100-mib":            hundredMiB(base),
		"tunnel-ends-at-once":          opened(func(c h2, id uint32) { _ = c.WriteData(id, true, nil) }),
		"tunnel-never-ends":            opened(func(h2, uint32) {}),
		"tunnel-empty-data-flood":      opened(func(c h2, id uint32) { repeat(func() error { return c.WriteData(id, false, nil) }) }),
		"tunnel-trailers":              opened(func(c h2, id uint32) { c.answer(id, true, "grpc-status", "14") }),
		"tunnel-second-status":         opened(func(c h2, id uint32) { c.answer(id, false, ":status", "200") }),
		"tunnel-reset-flood": opened(func(c h2, id uint32) {
			repeat(func() error { return c.WriteRSTStream(id, http2.ErrCodeCancel) })
		}),
		"tunnel-data-after-end": opened(func(c h2, id uint32) {
			_ = c.WriteData(id, true, []byte("end"))
			repeat(func() error { return c.WriteData(id, false, []byte("more")) })
		}),
	}
}

// hundredMiB is a good HBONE server with much to say in its tunnels.
func hundredMiB(base *tls.Config) Peer {
	return func(ctx context.Context, conn net.Conn) {
		srv := &hbone.Server{TLS: base, Handler: func(context.Context, *hbone.Request) hbone.Answer {
			return hbone.Answer{Serve: func(_ context.Context, c *hbone.Conn) {
				_, _ = io.CopyN(c, zeros{}, 100<<20)
			}}
		}}
		_ = srv.ServeConn(ctx, conn)
	}
}

// zeros has no end.
type zeros struct{}

// Read fills p with zeros.
func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
