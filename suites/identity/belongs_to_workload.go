// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// BelongsToWorkload checks that a workload presents its own identity: that of
// its namespace and service account in its cluster's trust domain.
var BelongsToWorkload = probe.DefineOn(probe.Meta{
	ID:      "identity/belongs-to-workload",
	Title:   "a workload presents the identity of its own service account",
	About:   "The SPIFFE ID on the wire is the one that the pod's namespace and service account have in the cluster's trust domain (secure naming).",
	Clause:  spec.IstioSecureNaming,
	Causes:  cause.Chains(verifier.CauseWrongIdentity),
	After:   []string{"identity/spiffe-id", "trust/trust-domain"},
	Applies: "mesh workloads that serve a port or take HBONE",
}, seen.Presented(), renewed(judgeBelongs))

func judgeBelongs(o seen.Workload) []probe.Finding {
	leaf, f := leafOf(o)
	if leaf == nil {
		return []probe.Finding{f}
	}
	var want []string
	for _, td := range o.Trust {
		want = append(want, o.Workload.SPIFFEID(td))
	}
	evidence := probe.WantGot("identity of "+o.Workload.String(), strings.Join(want, " or "), listed(o.Handshake.URIs()))
	if slices.ContainsFunc(o.Handshake.URIs(), func(id string) bool { return slices.Contains(want, id) }) {
		return []probe.Finding{probe.Passing(evidence)}
	}
	return []probe.Finding{probe.Failing(cause.Chain(verifier.CauseWrongIdentity), evidence)}
}
