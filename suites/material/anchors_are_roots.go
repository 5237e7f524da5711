// SPDX-License-Identifier: Apache-2.0

package material

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// AnchorsAreRoots checks that what is trusted is a root: self-signed, and a CA.
var AnchorsAreRoots = probe.DefineOn(probe.Meta{
	ID:      "material/anchors-are-roots",
	Title:   "every trust anchor is a self-signed CA certificate",
	About:   "An intermediate in place of the root works inside its own cluster, where everything is issued by it, and nowhere else: other clusters' chains lead past it. Envoy, ztunnel and Go take any certificate for an anchor; OpenSSL wants a root.",
	Clause:  spec.BundleSelfSigned,
	Causes:  chains(verifier.CauseRootIntermediate, verifier.CauseNotACA),
	Applies: "trust bundles",
}, documents(sortTrust), judgeAnchorsAreRoots)

func judgeAnchorsAreRoots(e Exam) []probe.Finding {
	evidence := seen.ChainEvidence("trust anchors", e.trusted(), e.Question.At).As(probe.KindBundle)
	for _, c := range e.trusted().Parsed() {
		switch {
		case c.Version == 3 && !c.IsCA:
			return []probe.Finding{probe.Failing(chain(verifier.CauseNotACA), probe.WantGot(subjectOf(c), "CA:TRUE", "CA:FALSE"))}
		case !verifier.SelfSigned(c):
			return []probe.Finding{probe.Failing(chain(verifier.CauseRootIntermediate),
				probe.WantGot(subjectOf(c), "signed with its own key", "issued by "+seen.Name(c.Issuer.String())))}
		}
	}
	return []probe.Finding{probe.Passing(evidence)}
}
