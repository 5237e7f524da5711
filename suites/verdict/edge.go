// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"fmt"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// Way says what kept an edge from reaching its peer, before any certificate
// was judged. The second result is false where the way is clear.
func Way(e seen.Edge) (probe.Finding, bool) {
	if e.Endpoint == nil {
		offered := probe.WantGot("endpoints that "+e.Edge.From.Cluster+" has for "+e.Edge.To.String(),
			"at least one in "+e.Edge.To.Cluster, fmt.Sprintf("none (%d in other clusters)", e.Offered))
		if e.PeerMTLS == cluster.Disable {
			return Disabled(e, offered), true
		}
		if f, behind := BehindWaypoint(e); behind {
			return f, true
		}
		return probe.Failing(cause.NoEndpoint, offered), true
	}
	// A load balancer takes connections also where nobody is behind it.
	silent := e.Endpoint.Gateway && e.Outer.Silent()
	if e.Outer.Outcome != seen.Unreachable && !silent {
		return probe.Finding{}, false
	}
	got := probe.WantGot("TCP connection from "+e.Source.String(), "to "+e.Endpoint.Address, e.Outer.Said())
	switch {
	case e.Control != "":
		return probe.Breaking("the caller reaches nothing, its own istiod neither", got, probe.Text("istiod of "+e.Edge.From.Cluster, e.Control)), true
	case !e.Endpoint.Gateway:
		return probe.Failing(cause.NoNetworkLabel, got,
			probe.WantGot("address that istiod of "+e.Edge.From.Cluster+" hands out", "an east-west gateway of "+e.Edge.To.Cluster, e.Endpoint.Address+", a pod's"),
		).With("Network", e.Endpoint.Network), true
	default:
		gateways := "istio=eastwestgateway"
		if e.Edge.DataPlane == cluster.Ambient {
			gateways = "gateway.istio.io/managed"
		}
		return probe.Failing(cause.Unreachable, got).With("Gateways", gateways), true
	}
}

// Disabled is the failure where the destination takes no mutual TLS. Its istiod
// leaves it out of what its gateway passes on, and others that read the same
// policies out of what they offer.
func Disabled(e seen.Edge, more ...probe.Evidence) probe.Finding {
	mode := probe.WantGot("mutual TLS at "+e.Edge.To.String(), "STRICT or PERMISSIVE", string(e.PeerMTLS)).As(probe.KindObject)
	return probe.Failing(cause.MTLSDisabled, mode, more...)
}

// BehindWaypoint is the Skip where no ztunnel of the caller's cluster calls the
// destination cluster: the caller's own waypoint takes every call of the service
// and alone chooses where it ends. A waypoint that is shared, istio.io/global, is
// itself offered in the destination.
func BehindWaypoint(e seen.Edge) (probe.Finding, bool) {
	if e.Endpoint != nil || e.OwnWaypoint == "" {
		return probe.Finding{}, false
	}
	return probe.Skipping("the caller's own waypoint "+e.OwnWaypoint+" takes every call of the service, and the one in "+e.Edge.To.Cluster+
		" is not shared (istio.io/global=true on its Gateway): no workload calls across", probe.Text("endpoints in other clusters", fmt.Sprint(e.Offered))), true
}

// WayCauses are the causes that Way can name.
func WayCauses() []probe.Cause {
	return []probe.Cause{cause.NoEndpoint, cause.MTLSDisabled, cause.NoNetworkLabel, cause.Unreachable}
}

// RefusedClient says why the destination refused the caller's certificate: the
// chain and the destination's roots tell, the alert corroborates.
func RefusedClient(e seen.Edge, layer seen.Handshake, by cluster.DataPlane) probe.Finding {
	alert := probe.WantGot("answer of "+e.Edge.To.Cluster, "the client certificate is accepted", layer.Said()).As(probe.KindAlert)
	f := RefusedBy(Question{
		Label: "chain that " + e.Edge.From.Cluster + " presents", Chain: layer.Client, Roots: e.ServerRoots, At: e.At,
		TrustDomains: e.ServerTrust, By: by,
	}, alert)
	if e.Edge.DataPlane == cluster.Ambient && f.Cause.Code == verifier.CauseTrustDomainSidecar {
		// The gateway would take an alias, the workload behind it would not.
		f.Cause = cause.Chain(verifier.CauseTrustDomainAmbient)
	}
	return f
}

// StaleServer is the cause where a peer refuses what its cluster's own trust
// bundle admits.
var StaleServer = probe.Cause{
	Code: "workload-stale-leaf", Title: "the peer still verifies with an older trust bundle than its cluster now distributes",
	Try: []string{"kubectl --context {{.To}} {{.Restart}}"},
}
