// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// OuterIdentity judges the certificate of the outer layer: the east-west
// gateway's, and that of the gateway that the caller's istiod named.
var OuterIdentity = probe.DefineOn(probe.Meta{
	ID:      "hbone/outer-identity",
	Title:   "the outer layer ends at the gateway that istiod named",
	About:   "The outer chain verifies against the caller's roots as ztunnel verifies it, and its identity is the east-west gateway's, not the workload's.",
	Clause:  spec.HBONEDoubleOuter,
	Causes:  append(verdict.ChainCauses(cluster.Ambient), cause.Chain(verifier.CauseWrongIdentity), causeGatewayIdentity),
	After:   []string{"hbone/double"},
	Applies: "ambient edges",
}, seen.AmbientEdges(), judgeOuterIdentity)

var causeGatewayIdentity = probe.Cause{
	Code: "ew-identity-mismatch", Title: "the gateway runs under another service account than istiod tells its callers",
	Try: []string{
		"kubectl --context {{.To}} -n istio-system get gateways.gateway.networking.k8s.io -o yaml   # annotation gateway.istio.io/service-account",
		"kubectl --context {{.To}} -n istio-system get pods -l istio.io/gateway-name -o custom-columns=POD:.metadata.name,SA:.spec.serviceAccountName",
	},
}

func judgeOuterIdentity(e seen.Edge) []probe.Finding {
	if f, behind := verdict.BehindWaypoint(e); behind {
		return []probe.Finding{f}
	}
	if e.Endpoint == nil || len(e.Outer.Chain) == 0 {
		return []probe.Finding{probe.Breaking("no outer certificate was seen", probe.Text("outer handshake", e.Outer.Said()))}
	}
	want := e.Endpoint.GatewayIdentities
	mismatch := causeGatewayIdentity
	if !e.Endpoint.Gateway {
		want, mismatch = e.Endpoint.Identities, cause.Chain(verifier.CauseWrongIdentity)
	}
	return []probe.Finding{judgeIdentity(e, "outer", e.Outer.Handshake, want, mismatch)}
}
