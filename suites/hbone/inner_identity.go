// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// InnerIdentity judges the certificate of the inner layer: that of a workload
// behind the service, end to end through the gateway.
var InnerIdentity = probe.DefineOn(probe.Meta{
	ID:      "hbone/inner-identity",
	Title:   "the inner layer ends at a workload of the called service",
	About:   "The inner chain verifies against the caller's roots as ztunnel verifies it, and its identity is one of the service's, exactly. Where the caller's own istiod puts the service behind a waypoint, the waypoint there is whom its ztunnel expects, by the names of the waypoint's service; where only the destination does, the ztunnel expects a workload, meets the waypoint, and refuses it.",
	Clause:  spec.HBONEDoubleInner,
	Causes:  append(verdict.ChainCauses(cluster.Ambient), cause.Chain(verifier.CauseWrongIdentity), causeWaypoint),
	After:   []string{"hbone/double", "identity/belongs-to-workload"},
	Applies: "ambient edges",
}, seen.AmbientEdges(), renewed(judgeInnerIdentity))

var causeWaypoint = probe.Cause{
	Code: "inner-san-waypoint", Title: "a waypoint answers whose identity the caller's istiod does not expect there",
	Try: []string{
		"kubectl --context {{.To}} get namespaces,services -A -L istio.io/use-waypoint,istio.io/global    # which waypoint does the service use there?",
		"kubectl --context {{.From}} get namespaces,services -A -L istio.io/use-waypoint,istio.io/global    # the caller's cluster needs a waypoint of the same name for it, and both their Gateways istio.io/global=true",
	},
}

func judgeInnerIdentity(e seen.Edge) []probe.Finding {
	if f, behind := verdict.BehindWaypoint(e); behind {
		return []probe.Finding{f}
	}
	if e.Endpoint != nil && !e.Endpoint.Gateway {
		return []probe.Finding{probe.Skipping("both ends are in one network: there is no inner layer")}
	}
	if e.Endpoint == nil || e.Inner == nil || len(e.Inner.Chain) == 0 {
		return []probe.Finding{probe.Breaking("no inner certificate was seen", probe.Text("outer handshake", e.Outer.Said()))}
	}
	mismatch := cause.Chain(verifier.CauseWrongIdentity)
	if e.Endpoint.Waypoint == "" && slices.ContainsFunc(e.Inner.URIs(), func(id string) bool { return waypoint(e, id) }) {
		mismatch = causeWaypoint
	}
	return []probe.Finding{judgeIdentity(e, "inner", e.Inner.Handshake, e.Endpoint.Identities, mismatch)}
}

// waypoint says that an identity is a waypoint's: one of the destination's, or
// one of the name that istioctl gives them.
func waypoint(e seen.Edge, id string) bool {
	return slices.Contains(e.PeerWaypoints, id) || strings.HasSuffix(id, "/sa/waypoint")
}

// judgeIdentity judges chain and name of one layer as ztunnel, the client of
// both layers, would. mismatch is the cause where it is another name.
func judgeIdentity(e seen.Edge, layer string, h seen.Handshake, want []string, mismatch probe.Cause) probe.Finding {
	f := verdict.Chain(verdict.Question{
		Label: layer + " chain that " + e.Edge.To.Cluster + " presents", Chain: h.Chain, Roots: e.ClientRoots, At: e.At,
		Role: verifier.Server, Identities: append([]string{}, want...), By: cluster.Ambient,
	})
	evidence := probe.WantGot(layer+" identity of "+e.Edge.To.String(), strings.Join(want, " or "), strings.Join(h.URIs(), " + "))
	f.Evidence = append([]probe.Evidence{evidence}, f.Evidence...)
	if f.Cause.Code != verifier.CauseWrongIdentity {
		return f
	}
	f.Cause = mismatch
	if slices.ContainsFunc(h.URIs(), func(id string) bool { return seen.OtherTrustDomain(id, want) }) {
		f.Cause = cause.Chain(verifier.CauseTrustDomainAmbient)
	}
	return f
}
