// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

// RunOf converts the opening of a run. Its duration is not known yet.
func RunOf(e probe.RunStarted) Run {
	r := Run{
		Version: e.Version, Provider: e.Provider, Profile: e.Profile, Started: e.Started.UTC(),
		Clusters: make([]Cluster, len(e.Clusters)),
		Planned:  make([]Planned, len(e.Planned)),
	}
	for i, c := range e.Clusters {
		r.Clusters[i] = Cluster(c)
	}
	for i, p := range e.Planned {
		r.Planned[i] = Planned(p)
	}
	return r
}

// FindingOf converts a finding. Of the clause it keeps the citation; the
// variables of hint templates are left behind with the templates.
func FindingOf(f probe.Finding) Finding {
	out := Finding{
		ID: f.ID, Title: f.Title, Subject: f.Subject, Status: f.Status.String(),
		Cause: f.Cause.Code, CauseTitle: f.Cause.Title, Clause: f.Clause.String(),
		Evidence:  make([]Evidence, len(f.Evidence)),
		Hint:      f.Hint,
		BlockedBy: f.BlockedBy, DurationMS: milliseconds(f.Duration),
		Reason: f.Reason, Denied: f.Denied, Seq: f.Seq,
	}
	if f.Level.Valid() {
		out.Level = f.Level.String()
	}
	if out.Hint == nil {
		out.Hint = []string{}
	}
	for i, e := range f.Evidence {
		out.Evidence[i] = Evidence{Kind: string(e.Kind), Label: e.Label, Want: e.Want, Got: e.Got}
	}
	for _, v := range f.Verdicts {
		out.Verdicts = append(out.Verdicts, Verdict(v))
	}
	if !f.Deadline.IsZero() {
		out.Deadline = new(f.Deadline.UTC())
	}
	return out
}

// ExhibitOf converts an exhibit. The error says that its value does not survive
// JSON, or is of no known kind.
func ExhibitOf(e probe.Exhibit) (Exhibit, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e.Value); err != nil {
		return Exhibit{}, fmt.Errorf("v1: %s %s: %w", e.Kind, e.Subject, err)
	}
	out := Exhibit{Event: string(e.Kind), Subject: e.Subject, Index: e.Index}
	raw := bytes.TrimSpace(b.Bytes())
	switch e.Kind {
	case probe.ExhibitEndpoint:
		out.Endpoint = raw
	case probe.ExhibitDocument:
		out.Document = raw
	default:
		return Exhibit{}, fmt.Errorf("v1: %s: unknown kind of exhibit %q", e.Subject, e.Kind)
	}
	return out, nil
}

// Value is what is shown.
func (e *Exhibit) Value() json.RawMessage {
	if e.Event == EventDocument {
		return e.Document
	}
	return e.Endpoint
}

// DoneOf converts the end of a run. Statuses that did not occur count 0.
func DoneOf(e probe.RunDone) Done {
	d := Done{
		Verdict: string(e.Verdict), Counts: Counts{}, Unknown: e.Unknown,
		Ended: e.Ended.UTC(), DurationMS: milliseconds(e.Duration),
	}
	for _, s := range probe.Statuses() {
		d.Counts[s.String()] = e.Counts[s]
	}
	return d
}

func milliseconds(d time.Duration) int64 { return d.Round(time.Millisecond).Milliseconds() }
