// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"log/slog"
	"net"
)

// Dial opens the connection behind a gateway. The gateway owns it.
type Dial func(context.Context) (net.Conn, error)

// Passthrough is port 15443 of an east-west gateway with tls.mode
// AUTO_PASSTHROUGH (istio pilot/pkg/networking/core/gateway.go): one filter
// chain per SNI of a service that admits only ClientHellos with one of Istio's
// marker protocols, and a TCP proxy behind it. TLS is never terminated; where
// no chain matches or the upstream is dead, the connection is closed without a
// byte.
type Passthrough struct {
	// Route finds the upstream of a server name, which is in lower case, such
	// as outbound_.9080_._.ratings.bookinfo.svc.cluster.local.
	Route func(sni string) (Dial, bool)

	// Log gets one line per connection that was turned away; nil discards.
	Log *slog.Logger

	Limits Limits
}

// Serve accepts connections until ctx is done (it closes ln and returns nil) or
// ln fails. It returns after every connection has ended.
func (g *Passthrough) Serve(ctx context.Context, ln net.Listener) error {
	return serve(ctx, ln, g.Limits, g.handle)
}

func (g *Passthrough) handle(ctx context.Context, c net.Conn, set *conns) {
	until(c, g.Limits.handshake())
	p := peeker{src: c}
	hello, err := p.hello()
	if err != nil {
		return
	}
	if !hello.offers(marker) {
		g.turnAway(ctx, c, hello, "filter_chain_not_found")
		return
	}
	dial, ok := g.Route(hello.sni)
	if !ok {
		g.turnAway(ctx, c, hello, "filter_chain_not_found")
		return
	}
	up, err := open(ctx, dial, g.Limits)
	if err != nil {
		g.turnAway(ctx, c, hello, "upstream_connect_failed")
		return
	}
	if !set.add(up) {
		return
	}
	defer set.drop(up)
	if _, err := up.Write(p.buf); err != nil {
		return
	}
	forever(c)
	bridge(c, up)
}

func (g *Passthrough) turnAway(ctx context.Context, c net.Conn, h *clientHello, why string) {
	reset(c)
	if g.Log == nil {
		return
	}
	sni := ""
	if h != nil {
		sni = h.sni
	}
	g.Log.LogAttrs(ctx, slog.LevelInfo, "connection closed", slog.String("reason", why), slog.String("sni", sni))
}

func open(ctx context.Context, dial Dial, limits Limits) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, limits.connect())
	defer cancel()
	return dial(ctx)
}
