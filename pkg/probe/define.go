// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// Meta is what a probe says of itself.
type Meta struct {
	ID     string      // suite/kebab-case; never changes
	Title  string      // the healthy fact
	About  string      // what is looked at and why it matters, for explain
	Clause spec.Clause // the sentence that asks for it; its level decides Fail, Warn or Note
	Causes []Cause     // every cause that the judge may name
	After  []string    // IDs of probes whose failure makes this one meaningless

	// AfterTo is After for what matters at the end of an edge only: a failure in
	// the cluster that a call leaves from does not block it.
	AfterTo []string

	// Applies names the subjects in the plural, for the Skip where there are
	// none: "ambient edges".
	Applies string

	// Profiles restricts the probe to some profiles; none means all.
	Profiles []string

	// Proves marks a probe whose findings, other than Skip and Broken, mean
	// that a handshake was tried from the first part of the subject to the
	// second. A direction without any makes the verdict Inconclusive.
	Proves bool
}

// Suite is the first part of the ID.
func (m Meta) Suite() string {
	suite, _, _ := strings.Cut(m.ID, "/")
	return suite
}

// dependencies are After and AfterTo.
func (m Meta) dependencies() []string { return slices.Concat(m.After, m.AfterTo) }

// Probe is one check: its Meta, and closures made by Define or DefineOn. It is
// a value; copy it freely. The zero Probe is invalid.
type Probe struct {
	Meta
	obs   *observation
	judge func(any) []Finding
}

// Observation is an observation that several probes judge. It is made once per
// subject and plan, whatever the number of its judges.
type Observation[S Subject, O any] struct {
	// Name identifies it in records; unique among observations.
	Name string

	// Over yields the subjects.
	Over func(*Env) iter.Seq[S]

	// Observe does the I/O, bounded by ctx, and returns a plain value that
	// survives JSON. A fault of the peer is part of the value; an error means
	// that meshprobe itself could not look.
	Observe func(context.Context, *Env, S) (O, error)

	// Exhibit, where set, shows what was observed beside the findings.
	Exhibit ExhibitKind
}

// Define makes a probe with an observation of its own. judge is pure, total
// and clockless, and returns at least one finding.
func Define[S Subject, O any](
	m Meta,
	over func(*Env) iter.Seq[S],
	observe func(context.Context, *Env, S) (O, error),
	judge func(O) []Finding,
) Probe {
	return DefineOn(m, Observation[S, O]{Name: m.ID, Over: over, Observe: observe}, judge)
}

// DefineOn makes a probe that judges a shared observation.
func DefineOn[S Subject, O any](m Meta, o Observation[S, O], judge func(O) []Finding) Probe {
	return Probe{
		Meta: m,
		obs: &observation{
			name: o.Name,
			over: func(env *Env) iter.Seq[Subject] {
				return func(yield func(Subject) bool) {
					for s := range o.Over(env) {
						if !yield(s) {
							return
						}
					}
				}
			},
			observe: func(ctx context.Context, env *Env, s Subject) (any, error) {
				return o.Observe(ctx, env, s.(S))
			},
			decode:  decode[O],
			exhibit: o.Exhibit,
		},
		judge: func(v any) []Finding { return judge(v.(O)) },
	}
}

// observation is an Observation without its types.
type observation struct {
	name    string
	over    func(*Env) iter.Seq[Subject]
	observe func(context.Context, *Env, Subject) (any, error)
	decode  func([]byte) (any, error)
	exhibit ExhibitKind
}

// decode is strict, so that a fixture or record of another shape is an error
// and not a zero value that passes.
func decode[O any](raw []byte) (any, error) {
	var o O
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&o); err != nil {
		return nil, fmt.Errorf("probe: observation: %w", err)
	}
	return o, nil
}

// ObservationName is the name under which records hold what the probe judges.
func (p Probe) ObservationName() string { return p.obs.name }

// JudgeRaw judges a recorded observation. The error says that raw is no
// observation of this probe; the findings are not yet completed by an engine,
// but sealed: no failure without cause and evidence.
func (p Probe) JudgeRaw(raw []byte) ([]Finding, error) {
	v, err := p.obs.decode(raw)
	if err != nil {
		return nil, err
	}
	return p.judged(v), nil
}
