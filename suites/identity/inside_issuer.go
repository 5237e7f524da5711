// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// InsideIssuer checks that a leaf ends before the certificates above it: one
// that does not dies early, before its workload thinks of renewing it.
var InsideIssuer = probe.DefineOn(probe.Meta{
	ID:      "identity/inside-issuer",
	Title:   "a workload's certificate ends before those that vouch for it",
	About:   "notAfter of the leaf is no later than notAfter of any certificate of the chain. Workloads renew at half of the leaf's life, whatever their intermediate's end.",
	Clause:  spec.IstioLeafInsideIssuer,
	Causes:  cause.Chains(verifier.CauseOutlives),
	After:   []string{"identity/not-expired"},
	Applies: "mesh workloads that serve a port or take HBONE",
}, seen.Presented(), renewed(judgeInsideIssuer))

func judgeInsideIssuer(o seen.Workload) []probe.Finding {
	leaf, f := leafOf(o)
	if leaf == nil {
		return []probe.Finding{f}
	}
	for _, c := range o.Handshake.Chain.Parsed()[1:] {
		if leaf.NotAfter.After(c.NotAfter) {
			return []probe.Finding{probe.Failing(cause.Chain(verifier.CauseOutlives),
				probe.WantGot("end of the leaf of "+o.Workload.String(), "no later than "+seen.Stamp(c.NotAfter)+", the end of "+seen.Subject(c), seen.Stamp(leaf.NotAfter)),
				seen.ChainEvidence("chain presented", o.Handshake.Chain, o.At))}
		}
	}
	return []probe.Finding{probe.Passing(probe.Text("leaf of "+o.Workload.String(), seen.Validity(leaf, o.At)))}
}
