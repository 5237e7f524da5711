// SPDX-License-Identifier: Apache-2.0

package material

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// DistinctNames says aloud that two roots bear one name: people compare names.
var DistinctNames = probe.DefineOn(probe.Meta{
	ID:      "material/distinct-names",
	Title:   "no two trust anchors bear one name with different keys",
	About:   "Roots are compared by key. Every istiod names the root that it makes O=TRUST-DOMAIN, and every run of Istio's Makefile CN=Root CA: such roots look alike and do not trust each other. In one bundle, Envoy tries the first of them only, where key identifiers do not tell them apart. With --against, the anchors there are compared too.",
	Clause:  spec.IstioSharedRoot,
	Causes:  chains(verifier.CauseSameDNOrder, verifier.CauseRootSameDN),
	Applies: "trust bundles",
}, documents(sortTrust), judgeDistinctNames)

func judgeDistinctNames(e Exam) []probe.Finding {
	own := e.trusted().Parsed()
	evidence := seen.ChainEvidence("trust anchors", e.trusted(), e.Question.At).As(probe.KindBundle)
	if pairs := verifier.SameDNOtherKey(own, own); len(pairs) > 0 {
		return []probe.Finding{e.Question.worse(chain(verifier.CauseSameDNOrder), sameName(pairs[0]))}
	}
	if against := e.Question.Against; against != nil {
		if pairs := verifier.SameDNOtherKey(own, against.Roots.Parsed()); len(pairs) > 0 {
			return []probe.Finding{e.Question.worse(chain(verifier.CauseRootSameDN), sameName(pairs[0]))}
		}
	}
	return []probe.Finding{probe.Passing(evidence)}
}

func sameName(p verifier.Pair) probe.Evidence {
	return probe.WantGot(seen.Name(p.A.Subject.String())+", twice", "one key", "key "+seen.ShortKey(p.A)+" and key "+seen.ShortKey(p.B))
}
