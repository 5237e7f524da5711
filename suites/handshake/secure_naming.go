// SPDX-License-Identifier: Apache-2.0

package handshake

import (
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// SecureNaming checks that the identity that answers is one that the caller's
// control plane expects of the service.
var SecureNaming = probe.DefineOn(probe.Meta{
	ID:      "handshake/secure-naming",
	Title:   "the identity that answers belongs to the called service",
	About:   "The URI SAN of the leaf on the wire is compared with the identities that the caller's istiod gives for the service (secure naming).",
	Clause:  spec.IstioSecureNaming,
	Causes:  cause.Chains(verifier.CauseWrongIdentity, verifier.CauseTrustDomainSidecar),
	After:   []string{"handshake/sidecar-mtls", "identity/belongs-to-workload"},
	Applies: "sidecar edges",
}, seen.SidecarEdges(), judgeSecureNaming)

func judgeSecureNaming(e seen.Edge) []probe.Finding {
	h := e.Outer.Handshake
	if e.Endpoint == nil || len(h.Chain) == 0 {
		return []probe.Finding{probe.Breaking("no identity was seen", probe.Text("handshake", h.Said()))}
	}
	want, got := e.Endpoint.Identities, h.URIs()
	evidence := probe.WantGot("identity of "+e.Edge.To.String(), strings.Join(want, " or "), strings.Join(got, " + "))
	if slices.ContainsFunc(got, func(id string) bool { return slices.Contains(want, id) }) {
		return []probe.Finding{probe.Passing(evidence)}
	}
	if slices.ContainsFunc(got, func(id string) bool { return seen.OtherTrustDomain(id, want) }) {
		return []probe.Finding{probe.Failing(cause.Chain(verifier.CauseTrustDomainSidecar), evidence)}
	}
	return []probe.Finding{probe.Failing(cause.Chain(verifier.CauseWrongIdentity), evidence)}
}
