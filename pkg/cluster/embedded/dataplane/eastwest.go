// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/http2"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
)

// EastWest is port 15008 of an ambient east-west gateway, an Envoy
// (istio pilot/pkg/networking/core/listener_waypoint.go): it ends the outer
// layer of double HBONE, admits every client of the mesh's trust domains and
// passes the bytes of the inner layer, untouched, to the HBONE port behind the
// service that the authority names.
//
// The fields must not change while Serve runs; the functions are called from
// many goroutines.
type EastWest struct {
	// Identity is the gateway's current SVID, as in [Ztunnel].
	Identity func() *cluster.Identity

	// TrustDomains admits clients: the mesh's own, then its aliases.
	TrustDomains func() []string

	// Route finds the upstream of an authority host:port (a host name in lower
	// case), which is the 15008 of a ztunnel or waypoint. dial is nil where
	// there is none, and then status answers; 0 means 503. It is not asked about
	// IP addresses.
	Route func(authority string) (dial Dial, status int)

	// Now judges validity periods; nil means time.Now.
	Now func() time.Time

	// SendRoot appends the trust anchor to the chain that is presented, as
	// Istio's agent does with what the CA returned.
	SendRoot bool

	Limits Limits
}

// Serve accepts connections until ctx is done (it closes ln and returns nil) or
// ln fails. It returns after every connection has ended.
func (g *EastWest) Serve(ctx context.Context, ln net.Listener) error {
	l := terminal{
		identity: g.Identity, limits: g.Limits, handle: g.connect,
		policy: policy{say: verifier.Envoy, trustDomains: g.TrustDomains, now: g.Now, sendRoot: g.SendRoot},
	}
	return l.serve(ctx, ln)
}

func (g *EastWest) connect(ctx context.Context, r *hbone.Request) hbone.Answer {
	to, err := hbone.ParseAuthority(r.Authority)
	if err != nil {
		return hbone.Answer{Status: http.StatusServiceUnavailable}
	}
	if _, ip := to.Addr(); ip {
		return hbone.Answer{Serve: breakOff}
	}
	dial, status := g.Route(to.String())
	if dial == nil {
		if status == 0 {
			status = http.StatusServiceUnavailable
		}
		return hbone.Answer{Status: status}
	}
	up, err := open(ctx, dial, g.Limits)
	if err != nil {
		return hbone.Answer{Status: http.StatusServiceUnavailable}
	}
	return hbone.Answer{Upstream: up}
}

// breakOff is what Envoy's internal listeners do to an authority that leads
// nowhere: 200 first, RST_STREAM as soon as data flows (measured: istiod 1.31,
// Envoy 1.40).
func breakOff(_ context.Context, c *hbone.Conn) {
	if _, err := c.Read(make([]byte, 1)); err == nil {
		c.Reset(http2.ErrCodeConnect)
	}
}
