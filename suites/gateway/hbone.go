// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// HBONE checks that the ambient east-west gateway speaks HBONE on 15008 with
// an identity of its own. Whether it accepts the client is judged per edge.
var HBONE = probe.DefineOn(probe.Meta{
	ID:      "gateway/hbone",
	Title:   "the ambient gateway terminates the outer HBONE on 15008",
	About:   "From another cluster: mutual TLS 1.3 with ALPN h2 at the address that istiod hands out, under a mesh identity, with a client certificate asked for. What the gateway thinks of the client's certificate is judged per edge.",
	Clause:  spec.HBONEDoubleOuter,
	Causes:  []probe.Cause{cause.Unreachable, causeNotHBONE, cause.Terminated, cause.NotAsked},
	After:   []string{"discovery/remote-secret", "discovery/network-label", "discovery/gateway-address"},
	Applies: "clusters that an ambient edge of another network leads into",
}, seen.HBONEGateways(), judgeHBONE)

var causeNotHBONE = probe.Cause{
	Code: "ambient-gateway-not-hbone", Title: "what listens at the ambient gateway's address does not speak HBONE",
	Try: []string{
		"kubectl --context {{.Cluster}} -n istio-system get gateways.gateway.networking.k8s.io -o yaml   # class istio-east-west, port 15008, protocol HBONE, mode Terminate",
	},
}

func judgeHBONE(g seen.Gateway) []probe.Finding {
	if f, blocked := way(g); blocked {
		return []probe.Finding{f}
	}
	h := g.Outer.Handshake
	got := probe.WantGot("outer handshake at "+h.Address, "TLS 1.3, h2, a mesh identity", fmt.Sprintf("%s, %q, %s", h.Version, h.ALPN, named(h)))
	switch {
	case len(h.Chain) == 0:
		return []probe.Finding{probe.Failing(causeNotHBONE, probe.WantGot("outer handshake at "+h.Address, "TLS 1.3, h2, a mesh identity", h.Said()))}
	case !h.Spiffe():
		return []probe.Finding{probe.Failing(cause.Terminated, got, seen.ChainEvidence("chain presented at "+h.Address, h.Chain, g.At))}
	case h.Version != "TLS 1.3" || h.ALPN != "h2":
		return []probe.Finding{probe.Failing(causeNotHBONE, got)}
	case !h.Asked:
		return []probe.Finding{probe.Failing(cause.NotAsked, got)}
	default:
		return []probe.Finding{probe.Passing(got)}
	}
}
