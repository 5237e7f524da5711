// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

// Tee gives every event to all sinks, in order. A sink that fails is dropped
// and the others go on; Close closes all of them and returns every first
// error. Emit itself fails only when no sink is left.
func Tee(sinks ...probe.Sink) probe.Sink {
	return &tee{sinks: sinks, errs: make([]error, len(sinks))}
}

type tee struct {
	sinks []probe.Sink
	errs  []error
}

var _ probe.Sink = (*tee)(nil)

func (t *tee) Emit(e probe.Event) error {
	alive := len(t.sinks) == 0
	for i, s := range t.sinks {
		if t.errs[i] == nil {
			t.errs[i] = s.Emit(e)
		}
		alive = alive || t.errs[i] == nil
	}
	if !alive {
		return errors.Join(t.errs...)
	}
	return nil
}

func (t *tee) Close() error {
	for i, s := range t.sinks {
		if err := s.Close(); t.errs[i] == nil {
			t.errs[i] = err
		}
	}
	return errors.Join(t.errs...)
}

// Ordered holds findings back until the run is done and gives them to sink in
// the order of the plan, then of their subjects. It keeps every finding in
// memory, so it is for goldens and small runs.
func Ordered(sink probe.Sink) probe.Sink { return &ordered{sink: sink} }

type ordered struct {
	sink     probe.Sink
	order    planOrder
	findings []probe.Finding
}

var _ probe.Sink = (*ordered)(nil)

func (o *ordered) Emit(e probe.Event) error {
	switch e := e.(type) {
	case probe.RunStarted:
		o.order = orderOf(e.Planned)
	case probe.FindingDone:
		o.findings = append(o.findings, e.Finding)
		return nil
	case probe.RunDone:
		if err := o.flush(); err != nil {
			return err
		}
	}
	return o.sink.Emit(e)
}

func (o *ordered) Close() error {
	return errors.Join(o.flush(), o.sink.Close())
}

func (o *ordered) flush() error {
	findings := o.findings
	o.findings = nil
	slices.SortStableFunc(findings, func(a, b probe.Finding) int {
		return cmp.Or(o.order.compare(a.ID, b.ID), strings.Compare(a.Subject, b.Subject), cmp.Compare(a.Seq, b.Seq))
	})
	for _, f := range findings {
		if err := o.sink.Emit(probe.FindingDone{Finding: f}); err != nil {
			return err
		}
	}
	return nil
}

// planOrder ranks probes and suites as the plan does; what was not planned
// comes last, by name.
type planOrder struct{ probes, suites map[string]int }

func orderOf(planned []probe.Planned) planOrder {
	o := planOrder{probes: map[string]int{}, suites: map[string]int{}}
	for i, p := range planned {
		o.probes[p.ID] = i
		if s := suiteOf(p.ID); !has(o.suites, s) {
			o.suites[s] = i
		}
	}
	return o
}

func (o planOrder) compare(a, b string) int {
	return cmp.Or(rank(o.probes, a, b), strings.Compare(a, b))
}

func (o planOrder) compareSuites(a, b string) int {
	return cmp.Or(rank(o.suites, a, b), strings.Compare(a, b))
}

func rank(ranks map[string]int, a, b string) int {
	i, ok := ranks[a]
	if !ok {
		i = len(ranks)
	}
	j, ok := ranks[b]
	if !ok {
		j = len(ranks)
	}
	return cmp.Compare(i, j)
}

func has(m map[string]int, key string) bool {
	_, ok := m[key]
	return ok
}

func suiteOf(id string) string {
	suite, _, _ := strings.Cut(id, "/")
	return suite
}
