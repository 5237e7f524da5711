// SPDX-License-Identifier: Apache-2.0

package handshake

import (
	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// SidecarMTLS opens the handshake that a sidecar would open to a service in
// another cluster, through the address that its istiod gives it, and reads
// after it: a TLS 1.3 handshake that returned proves nothing.
var SidecarMTLS = probe.DefineOn(probe.Meta{
	ID:     "handshake/sidecar-mtls",
	Title:  "the destination accepts the caller over sidecar mTLS",
	About:  "A client with the caller's own SVID dials what istiod resolves the destination to, with the SNI and ALPN of a sidecar, and waits for proof of acceptance.",
	Clause: spec.IstioMutualTLS,
	Causes: append(append(verdict.WayCauses(), cause.NoSNIMatch, cause.Terminated, cause.ClosedAfter),
		verdict.ClientCauses(cluster.Sidecar)...),
	After: []string{
		"trust/shared-root", "trust/trust-domain-aliases", "discovery/remote-secret", "discovery/network-label",
		"identity/current-ca", "identity/not-expired", "identity/spiffe-id",
	},
	AfterTo: []string{"discovery/gateway-address", "discovery/gateway-endpoint", "gateway/passthrough"},
	Applies: "sidecar edges",
	Proves:  true,
}, seen.SidecarEdges(), judgeSidecarMTLS)

func judgeSidecarMTLS(e seen.Edge) []probe.Finding {
	if f, blocked := verdict.Way(e); blocked {
		return []probe.Finding{f}
	}
	h := e.Outer.Handshake
	got := probe.WantGot("handshake from "+e.Source.String(), "accepted, proved by a read after it", h.Said()).As(probe.KindAlert)
	switch {
	case len(h.Chain) > 0 && !h.Spiffe():
		return []probe.Finding{probe.Failing(cause.Terminated, got, seen.ChainEvidence("chain presented at "+h.Address, h.Chain, e.At))}
	case h.Outcome.OK():
		return []probe.Finding{probe.Passing(got)}
	case h.Outcome == seen.Refused:
		return []probe.Finding{verdict.RefusedClient(e, h, cluster.Sidecar)}
	case len(h.Chain) == 0 && h.Outcome == seen.Closed && e.PeerMTLS == cluster.Disable:
		return []probe.Finding{verdict.Disabled(e, got)}
	case len(h.Chain) == 0 && h.Outcome == seen.Closed:
		return []probe.Finding{probe.Failing(cause.NoSNIMatch, got, probe.Text("server name sent", h.SNI))}
	case h.Outcome == seen.Closed:
		return []probe.Finding{probe.Failing(cause.ClosedAfter, got)}
	default:
		return []probe.Finding{probe.Failing(probe.Unknown, got)}
	}
}
