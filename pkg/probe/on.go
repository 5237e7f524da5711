// SPDX-License-Identifier: Apache-2.0

package probe

// On is a probe on another observation: view shows what was observed as what
// the probe judges. ID, clause and causes stay, so that one rule has one name
// wherever it is applied; edit, where it is not nil, adapts each finding to
// what was observed. view and edit are pure, as judges are.
func On[S Subject, O, P any](p Probe, o Observation[S, O], view func(O) P, edit func(O, Finding) Finding) Probe {
	judge := p.judge
	return DefineOn(p.Meta, o, func(v O) []Finding {
		findings := judge(view(v))
		if edit != nil {
			for i := range findings {
				findings[i] = edit(v, findings[i])
			}
		}
		return findings
	})
}
