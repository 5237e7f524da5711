// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"fmt"
	"strings"
	"time"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// Probe converts back to the opening of a run.
func (r Run) Probe() probe.RunStarted {
	e := probe.RunStarted{Version: r.Version, Provider: r.Provider, Profile: r.Profile, Started: r.Started}
	for _, c := range r.Clusters {
		e.Clusters = append(e.Clusters, probe.ClusterFacts(c))
	}
	for _, p := range r.Planned {
		e.Planned = append(e.Planned, probe.Planned(p))
	}
	return e
}

// Probe converts back to a finding. An unknown status or level is an error:
// a finding of a later version must not turn into a pass.
func (f Finding) Probe() (probe.Finding, error) {
	out := probe.Finding{
		Cause: probe.Cause{Code: f.Cause, Title: f.CauseTitle}, Reason: f.Reason, Denied: f.Denied,
		ID: f.ID, Title: f.Title, Subject: f.Subject, Clause: clauseOf(f.Clause),
		Hint: f.Hint, BlockedBy: f.BlockedBy, Seq: f.Seq,
		Duration: time.Duration(f.DurationMS) * time.Millisecond,
	}
	out.Suite, _, _ = strings.Cut(f.ID, "/")
	if err := out.Status.UnmarshalText([]byte(f.Status)); err != nil {
		return probe.Finding{}, fmt.Errorf("v1: finding %s: %w", f.ID, err)
	}
	if f.Level != "" {
		if err := out.Level.UnmarshalText([]byte(f.Level)); err != nil {
			return probe.Finding{}, fmt.Errorf("v1: finding %s: %w", f.ID, err)
		}
		out.Clause.Level = out.Level
	}
	for _, e := range f.Evidence {
		out.Evidence = append(out.Evidence, probe.Evidence{Kind: probe.Kind(e.Kind), Label: e.Label, Want: e.Want, Got: e.Got})
	}
	for _, v := range f.Verdicts {
		out.Verdicts = append(out.Verdicts, probe.VerifierVerdict(v))
	}
	if f.Deadline != nil {
		out.Deadline = *f.Deadline
	}
	return out, nil
}

// Probe converts back to an exhibit, its value as JSON. One without a value is
// an error.
func (e Exhibit) Probe() (probe.Exhibit, error) {
	if len(e.Value()) == 0 {
		return probe.Exhibit{}, fmt.Errorf("v1: %s %s: it has no value", e.Event, e.Subject)
	}
	return probe.Exhibit{Kind: probe.ExhibitKind(e.Event), Subject: e.Subject, Index: e.Index, Value: e.Value()}, nil
}

// Probe converts back to the end of a run. Counts of unknown statuses are an
// error, as in Finding.Probe.
func (d Done) Probe() (probe.RunDone, error) {
	e := probe.RunDone{
		Verdict: probe.Verdict(d.Verdict), Counts: map[probe.Status]int{}, Unknown: d.Unknown,
		Ended: d.Ended, Duration: time.Duration(d.DurationMS) * time.Millisecond,
	}
	for name, n := range d.Counts {
		var s probe.Status
		if err := s.UnmarshalText([]byte(name)); err != nil {
			return probe.RunDone{}, fmt.Errorf("v1: counts: %w", err)
		}
		e.Counts[s] = n
	}
	return e, nil
}

// clauseOf undoes spec.Clause.String, as far as a citation goes.
func clauseOf(citation string) spec.Clause {
	if doc, section, ok := strings.Cut(citation, " §"); ok {
		return spec.Clause{Doc: doc, Section: section}
	}
	doc, section, _ := strings.Cut(citation, ": ")
	return spec.Clause{Doc: doc, Section: section}
}
