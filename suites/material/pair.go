// SPDX-License-Identifier: Apache-2.0

package material

import (
	"context"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// Side is one side of a federation, as far as its files tell.
type Side struct {
	Source string     `json:"source"`
	Roots  seen.Certs `json:"roots"` // what it trusts
	// Issues is the CA that it signs with, or a chain that it presents: what its
	// workloads show. Empty where only its roots are known.
	Issues seen.Certs `json:"issues,omitempty"`
	// TrustDomains are its own, then its aliases.
	TrustDomains []string `json:"trustDomains"`
}

// Pair is two sides, side by side.
type Pair struct {
	Question Question `json:"question"`
	A        Side     `json:"a"`
	B        Side     `json:"b"`
}

// SideOf makes a side of documents.
func SideOf(source string, exams []Exam) Side {
	s := Side{Source: source}
	for _, e := range exams {
		s.Roots = append(s.Roots, e.trusted()...)
		if len(s.Issues) > 0 {
			continue
		}
		if e.holds(sortCA) {
			s.Issues = seen.FromX509(e.issuing())
		} else {
			s.Issues = e.presented()
		}
		for _, td := range e.TrustDomains {
			s.TrustDomains = append(s.TrustDomains, td.Name)
		}
	}
	if len(s.Roots) == 0 {
		// A chain alone: what it leads to is what its own side trusts.
		for _, c := range s.Issues.Parsed() {
			if verifier.SelfSigned(c) {
				s.Roots = append(s.Roots, c.Raw)
			}
		}
	}
	return s
}

// PairSubject is a pair as the subject of a probe.
type PairSubject struct{ Pair Pair }

// String names both sides.
func (p PairSubject) String() string { return p.Pair.A.Source + " ↔ " + p.Pair.B.Source }

// Parts are the two sides.
func (p PairSubject) Parts() []string { return []string{p.Pair.A.Source, p.Pair.B.Source} }

var _ probe.Subject = PairSubject{}

// pairs observes the two sides of `meshprobe inspect diff`.
func pairs() probe.Observation[PairSubject, Pair] {
	return probe.Observation[PairSubject, Pair]{
		Name: "document.pair", Over: probe.Given[PairSubject],
		Observe: func(_ context.Context, _ *probe.Env, p PairSubject) (Pair, error) { return p.Pair, nil },
		Exhibit: probe.ExhibitDocument,
	}
}

// Compares are the probes of a pair.
func Compares() []probe.Probe { return []probe.Probe{SharedRoot, AcceptedAcross} }

// shared are the roots of one side that the other holds too, by key, and those
// that it does not.
func shared(of, with seen.Certs) (both, alone seen.Certs) {
	keys := map[string]bool{}
	for _, k := range with.SPKIs() {
		keys[k] = true
	}
	seenKeys := map[string]bool{}
	for _, c := range of.Parsed() {
		k := verifier.SPKI(c)
		switch {
		case seenKeys[k]:
		case keys[k]:
			both = append(both, c.Raw)
		default:
			alone = append(alone, c.Raw)
		}
		seenKeys[k] = true
	}
	return both, alone
}
