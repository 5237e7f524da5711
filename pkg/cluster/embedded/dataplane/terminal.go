// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"slices"

	"golang.org/x/net/http2"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/hbone"
)

// terminal is the listener connect_terminate of an Envoy, on 15008: of the
// ambient east-west gateway, of a waypoint, of a sidecar that takes HBONE (istio
// pilot/pkg/networking/core/listener_waypoint.go). What becomes of a CONNECT is
// where they differ.
type terminal struct {
	identity func() *cluster.Identity
	policy   policy
	limits   Limits
	handle   hbone.Handler
	profiles profiles
}

func (t *terminal) serve(ctx context.Context, ln net.Listener) error {
	srv := &hbone.Server{
		Handler: t.handle, Timeout: t.limits.handshake(), Now: t.policy.now,
		Settings: hbone.Settings{MaxConcurrentStreams: 100, MaxFrameSize: 16 << 10},
	}
	defer func() { _ = srv.Close() }()
	return serve(ctx, ln, t.limits, func(ctx context.Context, c net.Conn, _ *conns) {
		id := t.identity()
		if id == nil {
			reset(c)
			return
		}
		until(c, t.limits.handshake())
		secure := tls.Server(c, t.profiles.byALPN(id, pickH2, t.config))
		if !shake(secure, c) {
			return
		}
		if polite, ok := afterPreface(secure, t.limits); ok {
			_ = srv.ServeConn(ctx, polite)
		}
	})
}

func (t *terminal) config(id *cluster.Identity) *tls.Config { return serverTLS(id, t.policy) }

// pickH2 is Envoy with ALPN h2: it refuses nobody for want of a common protocol.
func pickH2(offered []string) string {
	if slices.Contains(offered, "h2") {
		return "h2"
	}
	return ""
}

// prefaced is a TLS connection whose client preface was read already.
type prefaced struct {
	*tls.Conn
	ahead replayed
}

func (c *prefaced) Read(p []byte) (int, error) { return c.ahead.Read(p) }

// afterPreface waits for the first bytes of the client's preface, because
// Envoy, unlike ztunnel, sends no SETTINGS before it. A client that ends
// without one is answered with close_notify.
func afterPreface(c *tls.Conn, limits Limits) (net.Conn, bool) {
	until(c, limits.handshake())
	first := make([]byte, len(http2.ClientPreface))
	n, err := io.ReadAtLeast(c, first, 1)
	if err != nil {
		_ = c.Close()
		return nil, false
	}
	forever(c)
	return &prefaced{Conn: c, ahead: replayed{Conn: c, ahead: first[:n]}}, true
}
