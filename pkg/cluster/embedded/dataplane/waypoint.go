// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
)

// Waypoint is port 15008 of a waypoint, an Envoy: it ends the tunnels of the
// mesh's clients and calls what is behind the services that it stands in front
// of, whom it names by address or by name, with an identity of its own.
//
// The fields must not change while Serve runs; the functions are called from
// many goroutines.
type Waypoint struct {
	// Identity is the waypoint's current SVID, as in [Ztunnel].
	Identity func() *cluster.Identity

	// TrustDomains admits clients: the mesh's own, then its aliases.
	TrustDomains func() []string

	// Route finds the upstream of an authority. A nil dial is answered with 503;
	// where known says that the service is one of its own, only the port is not,
	// with 200 and a reset once bytes flow (measured: istiod 1.31, Envoy 1.40).
	Route func(to hbone.Authority) (dial Dial, known bool)

	// Now judges validity periods; nil means time.Now.
	Now func() time.Time

	Limits Limits
}

// Serve accepts connections until ctx is done (it closes ln and returns nil) or
// ln fails. It returns after every connection has ended.
func (w *Waypoint) Serve(ctx context.Context, ln net.Listener) error {
	l := terminal{
		identity: w.Identity, limits: w.Limits, handle: w.connect,
		policy: policy{say: verifier.Envoy, trustDomains: w.TrustDomains, now: w.Now},
	}
	return l.serve(ctx, ln)
}

func (w *Waypoint) connect(ctx context.Context, r *hbone.Request) hbone.Answer {
	to, err := hbone.ParseAuthority(r.Authority)
	if err != nil {
		return hbone.Answer{Status: http.StatusServiceUnavailable}
	}
	dial, known := w.Route(to)
	switch {
	case dial == nil && known:
		return hbone.Answer{Serve: breakOff}
	case dial == nil:
		return hbone.Answer{Status: http.StatusServiceUnavailable}
	}
	up, err := open(ctx, dial, w.Limits)
	if err != nil {
		// The 200 is out before Envoy has reached anybody.
		return hbone.Answer{Serve: breakOff}
	}
	return hbone.Answer{Upstream: up}
}
