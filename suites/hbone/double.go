// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"slices"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// Double opens double HBONE: an outer tunnel to the other network's east-west
// gateway and, inside it, HBONE to the workload. It says which layer failed.
var Double = probe.DefineOn(probe.Meta{
	ID:     "hbone/double",
	Title:  "both layers of double HBONE accept the caller and open a tunnel",
	About:  "As a ztunnel does for a service of another network: mutual TLS and CONNECT to the east-west gateway's 15008, then mutual TLS and CONNECT to the workload inside that tunnel. A 200 of the outer CONNECT proves nothing until the inner handshake succeeds.",
	Clause: spec.HBONEDoubleInner,
	Causes: slices.DeleteFunc(append(append(verdict.WayCauses(), causeLayer, cause.AmbientFlag, causeDenied),
		verdict.ClientCauses(cluster.Sidecar, cluster.Ambient)...),
		func(c probe.Cause) bool { return c.Code == verifier.CauseTrustDomainSidecar }), // the inner layer decides: no alias helps
	After: []string{
		"trust/shared-root", "trust/one-trust-domain", "discovery/remote-secret",
		"identity/current-ca", "identity/not-expired", "identity/spiffe-id",
	},
	AfterTo: []string{"discovery/network-label", "discovery/gateway-address", "discovery/gateway-endpoint", "gateway/hbone"},
	Applies: "ambient edges",
	Proves:  true,
}, seen.AmbientEdges(), renewed(judgeDouble))

var causeLayer = probe.Cause{
	Code: "hbone-layer-failed", Title: "one layer of the tunnel failed without naming a certificate",
	Try: []string{
		"kubectl --context {{.To}} -n istio-system logs deployment/eastwest-ambient | tail",
		"kubectl --context {{.To}} -n istio-system logs daemonset/ztunnel | grep 'connection failed' | tail",
	},
}

func judgeDouble(e seen.Edge) []probe.Finding {
	if f, blocked := verdict.Way(e); blocked {
		return []probe.Finding{f}
	}
	if f, failed := layer(e, "outer", e.Outer, outerVerifier(e)); failed {
		return []probe.Finding{f}
	}
	if !e.Endpoint.Gateway {
		return []probe.Finding{probe.Passing(connectEvidence("CONNECT "+e.Outer.Authority, "200", e.Outer))}
	}
	if e.Inner == nil {
		return []probe.Finding{probe.Breaking("the inner layer was not tried")}
	}
	if f, failed := layer(e, "inner", *e.Inner, innerVerifier(e)); failed {
		return []probe.Finding{f}
	}
	return []probe.Finding{probe.Passing(
		connectEvidence("outer CONNECT "+e.Outer.Authority, "200", e.Outer),
		connectEvidence("inner CONNECT "+e.Inner.Authority, "200", *e.Inner))}
}

// outerVerifier is whose rules the outer peer applies: the gateway is an
// Envoy, and so is a waypoint; a pod of the same network has a ztunnel.
func outerVerifier(e seen.Edge) cluster.DataPlane {
	if e.Endpoint.Gateway {
		return cluster.Sidecar
	}
	return innerVerifier(e)
}

// innerVerifier is whose rules the last peer applies.
func innerVerifier(e seen.Edge) cluster.DataPlane {
	if e.Endpoint.Waypoint != "" {
		return cluster.Sidecar
	}
	return cluster.Ambient
}

// layer says whether one layer failed, and why.
func layer(e seen.Edge, name string, l seen.Layer, by cluster.DataPlane) (probe.Finding, bool) {
	got := probe.WantGot(name+" handshake at "+l.Address, "accepted, proved by SETTINGS", l.Said()).As(probe.KindAlert)
	switch {
	case l.Outcome == seen.Refused:
		return verdict.RefusedClient(e, l.Handshake, by), true
	case !l.Outcome.OK():
		return probe.Failing(causeLayer, got), true
	case l.Status == 200 && l.Reset == "":
		return probe.Finding{}, false
	}
	answer := connectEvidence(name+" CONNECT "+l.Authority, "200", l)
	switch {
	case l.Status == 401 || l.Status == 403:
		return probe.Failing(causeDenied, answer), true
	case name == "outer" && e.Endpoint.Gateway:
		return probe.Failing(cause.AmbientFlag, answer), true
	default:
		return probe.Failing(causeLayer, answer), true
	}
}
