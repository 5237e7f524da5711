// SPDX-License-Identifier: Apache-2.0

package probe

import "time"

// Summary is the end of a run.
type Summary struct {
	RunDone
	Interrupted bool
}

// ExitStatus is the exit status of the CLI contract: 0 conformant or partial,
// 1 nonconformant, 3 inconclusive.
func (s Summary) ExitStatus() int {
	switch s.Verdict {
	case Conformant, Partial:
		return 0
	case Nonconformant:
		return 1
	default:
		return 3
	}
}

// tally counts findings towards a verdict.
type tally struct {
	counts      map[Status]int
	unknown     int
	strict      bool
	partial     bool
	proves      map[string]bool    // IDs whose findings prove that a direction was tried
	directions  map[[2]string]bool // cluster → cluster: tried
	interrupted bool
	died        bool
}

func newTally(plan Plan, strict bool) tally {
	t := tally{
		counts: map[Status]int{}, strict: strict, partial: len(plan.Left) > 0,
		proves: map[string]bool{}, directions: map[[2]string]bool{},
	}
	for _, p := range plan.Probes {
		if p.Proves {
			t.proves[p.ID] = true
		}
	}
	return t
}

// expect asks for a handshake in a direction, where any probe of the plan
// tries one.
func (t *tally) expect(from, to string) {
	if key := [2]string{from, to}; len(t.proves) > 0 && !t.directions[key] {
		t.directions[key] = false
	}
}

func (t *tally) count(f Finding, s Subject) {
	t.counts[f.Status]++
	t.partial = t.partial || f.Denied
	if f.Cause.Code == Unknown.Code {
		t.unknown++
	}
	if s == nil || !t.proves[f.ID] || f.Status == Skip || f.Status == Broken {
		return
	}
	if v := subjectVars(s); v["From"] != v["To"] {
		t.directions[[2]string{v["From"], v["To"]}] = true
	}
}

func (t *tally) verdict() Verdict {
	untried := false
	for _, tried := range t.directions {
		untried = untried || !tried
	}
	switch {
	case t.interrupted, t.died:
		return Inconclusive
	case t.counts[Fail] > 0, t.strict && t.counts[Warn] > 0:
		return Nonconformant
	case t.counts[Broken] > 0, untried:
		return Inconclusive
	case t.partial:
		return Partial
	default:
		return Conformant
	}
}

func (t *tally) done(started, ended time.Time) RunDone {
	return RunDone{
		Verdict: t.verdict(), Counts: t.counts, Unknown: t.unknown,
		Ended: ended, Duration: ended.Sub(started),
	}
}
