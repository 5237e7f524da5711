// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// Passthrough checks that the 15443 gateway routes a known server name to its
// workload without ending TLS: the certificate that answers is the workload's.
var Passthrough = probe.DefineOn(probe.Meta{
	ID:      "gateway/passthrough",
	Title:   "the 15443 gateway passes a known server name to its workload",
	About:   "From another cluster, with SNI outbound_.PORT_._.HOST of a service that the cluster has: TLS must end at the workload, not at the gateway (AUTO_PASSTHROUGH). Whether the workload accepts the client is judged per edge.",
	Clause:  spec.IstioAutoPassthrough,
	Causes:  []probe.Cause{cause.Unreachable, cause.NoSNIMatch, cause.Terminated},
	After:   []string{"discovery/remote-secret", "discovery/network-label", "discovery/gateway-address"},
	Applies: "clusters that a sidecar edge of another network leads into",
}, seen.Passthroughs(), judgePassthrough)

func judgePassthrough(g seen.Gateway) []probe.Finding {
	if f, blocked := way(g); blocked {
		return []probe.Finding{f}
	}
	h := g.Outer.Handshake
	want := strings.Join(g.Endpoint.Identities, " or ")
	switch {
	case len(h.Chain) == 0 && g.PeerMTLS == cluster.Disable:
		return []probe.Finding{probe.Skipping(disabled)}
	case len(h.Chain) == 0:
		return []probe.Finding{probe.Failing(cause.NoSNIMatch,
			probe.WantGot("answer to "+h.SNI, "the certificate of "+want, h.Said()))}
	case !h.Spiffe() || slices.ContainsFunc(h.URIs(), g.OfControlPlane):
		return []probe.Finding{probe.Failing(cause.Terminated,
			probe.WantGot("certificate for "+h.SNI, want, named(h)+": TLS ends there"),
			seen.ChainEvidence("chain presented at "+h.Address, h.Chain, g.At))}
	default:
		return []probe.Finding{probe.Passing(probe.Text("answers to "+h.SNI, strings.Join(h.URIs(), " + ")))}
	}
}
