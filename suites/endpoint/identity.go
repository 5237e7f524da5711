// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"regexp"
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
)

// Identity checks who answers.
var Identity = probe.DefineOn(probe.Meta{
	ID:      "endpoint/identity",
	Title:   "the identity that answers is the expected one",
	About:   aboutIdentity,
	Clause:  spec.IstioSecureNaming,
	Causes:  append(identityCauses(), cause.Chain(verifier.CauseTrustDomainSidecar), causeGatewayIdentity),
	After:   []string{"endpoint/trust"},
	Applies: "endpoints",
}, met(), outer(judgeIdentity))

const aboutIdentity = "The URI SAN of the leaf: exactly one SPIFFE ID of the form spiffe://TD/ns/NS/sa/SA and, with --expect-id (--expect-outer-id for the gateway of double HBONE), that one exactly."

func identityCauses() []probe.Cause {
	return append(cause.Chains(verifier.CauseSANShape, verifier.CauseTrustDomainAmbient, verifier.CauseWrongIdentity),
		cause.Terminated, causeWaypoint)
}

var (
	causeGatewayIdentity = probe.Cause{
		Code: "ew-identity-mismatch", Title: "the gateway runs under another service account than was expected",
		Try: []string{
			"kubectl --context CONTEXT get gateways.gateway.networking.k8s.io -A -o yaml   # annotation gateway.istio.io/service-account",
			"kubectl --context CONTEXT get pods -A -l istio.io/gateway-name -o custom-columns=POD:.metadata.name,SA:.spec.serviceAccountName",
		},
	}
	causeWaypoint = probe.Cause{
		Code: "inner-san-waypoint", Title: "a waypoint answers in place of the workload",
		Try: []string{"kubectl --context CONTEXT -n {{.Namespace}} get service,namespace -o custom-columns='KIND:.kind,NAME:.metadata.name,WAYPOINT:.metadata.labels.istio\\.io/use-waypoint'"},
	}
)

// istioID is the only form of an identity that every data plane takes
// (ztunnel src/identity/manager.rs).
var istioID = regexp.MustCompile(`^spiffe://[a-z0-9._-]+/ns/[^/]+/sa/[^/]+$`)

func judgeIdentity(p part) []probe.Finding {
	l, want := p.layer, p.identity()
	if len(l.Chain) == 0 {
		return []probe.Finding{probe.Skipping("no certificate was sent")}
	}
	ids := l.URIs()
	got := probe.WantGot(p.label("identity"), want, orNone(strings.Join(ids, " + ")))
	if want == "" {
		got = probe.WantGot(p.label("identity"), "one of the form spiffe://TD/ns/NS/sa/SA", orNone(strings.Join(ids, " + ")))
	}
	leaf := probe.Text(p.label("leaf"), leafName(l))
	mesh := p.tunnels() || p.Kind == wire.Sidecar
	switch {
	case want != "" && slices.Contains(ids, want):
		return []probe.Finding{probe.Passing(got)}
	case want == "" && len(ids) == 1 && istioID.MatchString(ids[0]):
		return []probe.Finding{probe.Passing(got)}
	case want == "" && !mesh:
		return []probe.Finding{probe.Noting(cause.Chain(verifier.CauseSANShape), got, leaf)}
	default:
		return []probe.Finding{probe.Failing(p.stranger(ids, want), got, leaf)}
	}
}

// stranger is why somebody else answers.
func (p part) stranger(ids []string, want string) probe.Cause {
	switch {
	case !p.layer.Spiffe() && hasDNS(p.layer):
		return cause.Terminated
	case len(ids) != 1 || want == "":
		return cause.Chain(verifier.CauseSANShape)
	case path(ids[0]) == path(want) && p.by() == cluster.Ambient:
		return cause.Chain(verifier.CauseTrustDomainAmbient)
	case path(ids[0]) == path(want):
		return cause.Chain(verifier.CauseTrustDomainSidecar)
	case p.nested() && !p.inner:
		return causeGatewayIdentity
	case strings.HasSuffix(ids[0], "/sa/waypoint"):
		return causeWaypoint
	default:
		return cause.Chain(verifier.CauseWrongIdentity)
	}
}

func hasDNS(l *wire.Layer) bool {
	leaf := l.Chain.Leaf()
	return leaf != nil && len(leaf.DNSNames) > 0
}

// path is a SPIFFE ID without its trust domain.
func path(id string) string {
	_, p, _ := strings.Cut(strings.TrimPrefix(id, "spiffe://"), "/")
	return p
}
