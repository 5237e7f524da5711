// SPDX-License-Identifier: Apache-2.0

package material

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// AnchorsValid checks the dates of what is trusted, about which the verifiers
// of a mesh disagree.
var AnchorsValid = probe.DefineOn(probe.Meta{
	ID:      "material/anchors-valid",
	Title:   "every trust anchor is valid now",
	About:   "Envoy, istiod and OpenSSL refuse every chain that ends in an expired root; ztunnel does not look at the dates of anchors. The sidecars of such a mesh stop, and its ambient workloads go on.",
	Clause:  spec.RFC5280PathValidity,
	Causes:  chains(verifier.CauseRootExpired, verifier.CauseClockSkew),
	Applies: "trust bundles",
}, documents(sortTrust), judgeAnchorsValid)

func judgeAnchorsValid(e Exam) []probe.Finding {
	evidence := seen.ChainEvidence("trust anchors", e.trusted(), e.Question.At).As(probe.KindBundle)
	for _, c := range e.trusted().Parsed() {
		dates := probe.WantGot(subjectOf(c), "valid at "+seen.Stamp(e.Question.At), seen.Validity(c, e.Question.At))
		switch {
		case e.Question.At.Before(c.NotBefore):
			return []probe.Finding{e.Question.worse(chain(verifier.CauseClockSkew), dates)}
		case e.Question.At.After(c.NotAfter):
			return []probe.Finding{e.Question.worse(chain(verifier.CauseRootExpired), dates)}
		}
	}
	return []probe.Finding{probe.Passing(evidence)}
}
