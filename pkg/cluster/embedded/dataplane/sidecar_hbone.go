// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"net"
	"net/http"
	"net/netip"

	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
)

// ServeHBONE serves 15008 beside the application's port, as the Envoy of a pod
// with the label networking.istio.io/tunnel: http does: a tunnel to the pod's
// own address and a port on which the application listens, and 503 for every
// other address and for names, a service's own included (measured: istiod 1.31,
// Envoy 1.40). It does so in every mode. It ends as Serve does.
func (s *Sidecar) ServeHBONE(ctx context.Context, ln net.Listener, own netip.AddrPort) error {
	l := terminal{
		identity: s.Identity, limits: s.Limits,
		policy: policy{say: verifier.Envoy, trustDomains: s.TrustDomains, now: s.Now, sendRoot: s.SendRoot},
		handle: func(_ context.Context, r *hbone.Request) hbone.Answer {
			to, err := hbone.ParseAuthority(r.Authority)
			if err != nil {
				return hbone.Answer{Status: http.StatusServiceUnavailable}
			}
			addr, ok := to.Addr()
			switch {
			case !ok || addr.Unmap() != own.Addr().Unmap():
				return hbone.Answer{Status: http.StatusServiceUnavailable}
			case to.Port != own.Port():
				return hbone.Answer{Serve: breakOff}
			}
			return hbone.Answer{Serve: func(ctx context.Context, c *hbone.Conn) { s.App(ctx, c) }}
		},
	}
	return l.serve(ctx, ln)
}
