// SPDX-License-Identifier: Apache-2.0

package report

import (
	"io"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	v1 "github.com/meshprobe/meshprobe/pkg/report/v1"
)

// FormatConformance is the YAML that vendors publish, [v1.Conformance]. It is
// a format of [File] and [New], but not one for people, so Formats leaves it
// out.
const FormatConformance = "conformance"

// The results of a part of a conformance report.
const (
	resultSuccess      = "success"
	resultPartial      = "partial"
	resultFailure      = "failure"
	resultInconclusive = "inconclusive"
)

// maxReasons bounds what a conformance report quotes of one probe.
const maxReasons = 3

// conformance counts per probe; it holds no finding.
type conformance struct {
	w      io.Writer
	report v1.Conformance
	probes []*tally
	byID   map[string]*tally
	closed bool
}

// tally is one probe over its subjects.
type tally struct {
	v1.ConfProbe

	level spec.Level
}

var _ probe.Sink = (*conformance)(nil)

func newConformance(w io.Writer, opts Options) *conformance {
	return &conformance{w: w, byID: map[string]*tally{}, report: v1.Conformance{
		Schema: v1.ConformanceSchema, Tool: v1.Tool{Name: "meshprobe", Version: opts.Version},
		Implementation: opts.Implementation, Verdict: string(probe.Inconclusive),
	}}
}

func (s *conformance) Emit(e probe.Event) error {
	switch e := e.(type) {
	case probe.RunStarted:
		s.started(e)
	case probe.FindingDone:
		s.finding(e.Finding)
	case probe.RunDone:
		s.report.Verdict = string(e.Verdict)
	}
	return nil
}

func (s *conformance) started(e probe.RunStarted) {
	r := &s.report
	r.Date, r.Provider, r.Profile = e.Started.UTC().Truncate(time.Second), e.Provider, e.Profile
	if e.Version != "" {
		r.Tool.Version = e.Version
	}
	for _, c := range e.Clusters {
		r.Topology.Clusters = append(r.Topology.Clusters, v1.ConfCluster(c))
	}
	for _, edge := range e.Edges {
		r.Topology.Edges = append(r.Topology.Edges, edge.String()+" ("+string(edge.DataPlane)+")")
	}
	for _, p := range e.Planned {
		s.tally(p.ID)
	}
}

// tally finds or makes the entry of a probe.
func (s *conformance) tally(id string) *tally {
	if t := s.byID[id]; t != nil {
		return t
	}
	t := &tally{ConfProbe: v1.ConfProbe{ID: id, Counts: map[string]int{}}}
	s.byID[id], s.probes = t, append(s.probes, t)
	return t
}

func (s *conformance) finding(f probe.Finding) {
	t := s.tally(f.ID)
	t.level = f.Level
	t.Counts[f.Status.String()]++
	if f.Denied {
		t.Denied++
	}
	if f.Cause.Code != "" && !slices.Contains(t.Causes, f.Cause.Code) {
		t.Causes = append(t.Causes, f.Cause.Code)
	}
	if f.Reason != "" && len(t.Reasons) < maxReasons && !slices.Contains(t.Reasons, f.Reason) {
		t.Reasons = append(t.Reasons, f.Reason)
	}
}

func (s *conformance) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	var core, extended []v1.ConfProbe
	for _, t := range s.probes {
		t.Result = gravest(t.Counts)
		slices.Sort(t.Causes)
		slices.Sort(t.Reasons)
		if t.level == spec.Should || t.level == spec.May {
			extended = append(extended, t.ConfProbe)
		} else {
			core = append(core, t.ConfProbe)
		}
	}
	s.report.Core, s.report.Extended = part(core), part(extended)
	enc := yaml.NewEncoder(s.w)
	enc.SetIndent(2)
	if err := enc.Encode(s.report); err != nil {
		return err
	}
	return enc.Close()
}

// graveness is the statuses, the gravest first.
func graveness() []string {
	var all []string
	for _, s := range []probe.Status{
		probe.Fail, probe.Broken, probe.Blocked, probe.Pending, probe.Warn, probe.Note, probe.Pass, probe.Skip,
	} {
		all = append(all, s.String())
	}
	return all
}

// gravest is the status that decides for a probe; one without any finding could
// not be looked at.
func gravest(counts map[string]int) string {
	for _, status := range graveness() {
		if counts[status] > 0 {
			return status
		}
	}
	return probe.Broken.String()
}

// part sums up the probes of one level.
func part(probes []v1.ConfProbe) v1.ConfPart {
	p := v1.ConfPart{Statistics: map[string]int{}, Probes: probes, Result: resultSuccess}
	for _, one := range probes {
		for status, n := range one.Counts {
			p.Statistics[status] += n
		}
		p.Result = graver(p.Result, resultOf(one))
	}
	return p
}

// resultOf is what a probe means for its part. A Warn is a broken SHOULD, which
// conformance allows, and what does not apply promises nothing; what could not
// be looked at for want of a permission was not shown.
func resultOf(p v1.ConfProbe) string {
	switch p.Result {
	case probe.Fail.String():
		return resultFailure
	case probe.Broken.String(), probe.Blocked.String():
		return resultInconclusive
	}
	if p.Denied > 0 || p.Result == probe.Pending.String() {
		return resultPartial
	}
	return resultSuccess
}

func graver(a, b string) string {
	order := []string{resultSuccess, resultPartial, resultInconclusive, resultFailure}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}
