// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto/x509"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// NotExpired checks the validity of every certificate that a workload sends,
// not of its leaf alone.
var NotExpired = probe.DefineOn(probe.Meta{
	ID:      "identity/not-expired",
	Title:   "every certificate that a workload presents is valid now",
	About:   "Leaf, intermediates and, where it is sent, the root are inside their validity at the time of the handshake.",
	Clause:  spec.RFC5280PathValidity,
	Causes:  cause.Chains(verifier.CauseLeafExpired, verifier.CauseIntermediateExpired, verifier.CauseRootExpired, verifier.CauseClockSkew),
	After:   []string{"ca/lifetime-left", "ca/istiod-serves-cacerts", "trust/root-configmap"},
	Applies: "mesh workloads that serve a port or take HBONE",
}, seen.Presented(), renewed(judgeNotExpired))

func judgeNotExpired(o seen.Workload) []probe.Finding {
	leaf, f := leafOf(o)
	if leaf == nil {
		return []probe.Finding{f}
	}
	for i, c := range o.Handshake.Chain.Parsed() {
		code := validityProblem(c, i, o)
		if code == "" {
			continue
		}
		return []probe.Finding{probe.Failing(cause.Chain(code),
			probe.WantGot(seen.Subject(c)+", presented by "+o.Workload.String(), "valid at "+seen.Stamp(o.At), seen.Validity(c, o.At)),
			seen.ChainEvidence("chain presented", o.Handshake.Chain, o.At))}
	}
	return []probe.Finding{probe.Passing(probe.Text("leaf of "+o.Workload.String(), seen.Validity(leaf, o.At)))}
}

func validityProblem(c *x509.Certificate, i int, o seen.Workload) string {
	switch {
	case o.At.Before(c.NotBefore):
		return verifier.CauseClockSkew
	case !o.At.After(c.NotAfter):
		return ""
	case i == 0:
		return verifier.CauseLeafExpired
	case string(c.RawSubject) == string(c.RawIssuer):
		return verifier.CauseRootExpired
	default:
		return verifier.CauseIntermediateExpired
	}
}
