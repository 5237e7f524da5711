// SPDX-License-Identifier: Apache-2.0

package material

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// SharedRoot checks that two sides trust a root in common.
var SharedRoot = probe.DefineOn(probe.Meta{
	ID:      "material/shared-root",
	Title:   "the two sides trust a root in common, by key",
	About:   "The trust anchors of two bundles, two cacerts or two dumps are compared by public key: which are shared, which are not, and which bear a name of the other side with another key. A root in common is not enough: see material/accepted-across.",
	Clause:  spec.IstioSharedRoot,
	Causes:  chains(verifier.CauseRootSameDN, verifier.CauseRootDistinctDN),
	Applies: "pairs",
}, pairs(), judgeSharedRoot)

func judgeSharedRoot(p Pair) []probe.Finding {
	at := p.Question.At
	both, onlyA := shared(p.A.Roots, p.B.Roots)
	_, onlyB := shared(p.B.Roots, p.A.Roots)
	evidence := []probe.Evidence{
		probe.Text("shared", both.Describe(at)).As(probe.KindBundle),
		probe.Text("only in "+p.A.Source, onlyA.Describe(at)).As(probe.KindBundle),
		probe.Text("only in "+p.B.Source, onlyB.Describe(at)).As(probe.KindBundle),
	}
	if len(both) > 0 {
		return []probe.Finding{probe.Passing(evidence...)}
	}
	if len(p.A.Roots) == 0 || len(p.B.Roots) == 0 {
		return []probe.Finding{probe.Undecided("one side holds no trust anchor", evidence...)}
	}
	if twins := verifier.SameDNOtherKey(p.A.Roots.Parsed(), p.B.Roots.Parsed()); len(twins) > 0 {
		first := probe.WantGot(seen.Name(twins[0].A.Subject.String())+" on both sides", "one key",
			"key "+seen.ShortKey(twins[0].A)+" in "+p.A.Source+", key "+seen.ShortKey(twins[0].B)+" in "+p.B.Source)
		return []probe.Finding{probe.Failing(chain(verifier.CauseRootSameDN), first, evidence...)}
	}
	return []probe.Finding{probe.Failing(chain(verifier.CauseRootDistinctDN), evidence[0], evidence[1:]...)}
}
