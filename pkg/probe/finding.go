// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"maps"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// Finding is what one probe says of one subject. A judge makes it with
// Passing, Failing, Skipping, Pend or Breaking; the engine fills in the rest.
type Finding struct {
	Status   Status
	Cause    Cause      // set where Status is Fail, Warn, Note by level, or Pending
	Evidence []Evidence // what it rests on
	Reason   string     // why Skip, Pending or Broken; one line
	Deadline time.Time  // when Pending becomes Fail
	Denied   bool       // a Skip for want of permission, or of what it takes to judge: the verdict becomes Partial
	Verdicts []VerifierVerdict
	Vars     map[string]string // for the templates of Cause.Try, beside the subject's

	// Filled in by the engine.
	ID        string // of the probe
	Title     string // of the probe: the healthy fact
	Suite     string // first part of the ID
	Subject   string
	Level     spec.Level
	Clause    spec.Clause
	Hint      []string // Cause.Try, rendered
	BlockedBy string   // ID and subject of the finding that blocks this one
	Duration  time.Duration
	Seq       int // completion order, from 1
}

// VerifierVerdict is what one verifier says about the chain of a finding,
// when it is the one that verifies.
type VerifierVerdict struct {
	Verifier string `json:"verifier"` // go | openssl | envoy | ztunnel
	Accepts  bool   `json:"accepts"`
	Reason   string `json:"reason,omitempty"`
	Clause   string `json:"clause,omitempty"`
}

// Passing is a finding that the healthy fact holds.
func Passing(evidence ...Evidence) Finding {
	return Finding{Status: Pass, Evidence: evidence}
}

// Failing is a finding that the healthy fact does not hold. The engine turns
// it into Warn or Note where the clause says Should or May.
func Failing(c Cause, first Evidence, rest ...Evidence) Finding {
	return Finding{Status: Fail, Cause: c, Evidence: append([]Evidence{first}, rest...)}
}

// Noting is something worth knowing that breaks nothing.
func Noting(c Cause, first Evidence, rest ...Evidence) Finding {
	return Finding{Status: Note, Cause: c, Evidence: append([]Evidence{first}, rest...)}
}

// Skipping says that the probe does not apply, and why.
func Skipping(reason string, evidence ...Evidence) Finding {
	return Finding{Status: Skip, Reason: reason, Evidence: evidence}
}

// Lacking says that the probe may not look: what names the verb and resource.
func Lacking(what string) Finding {
	return Finding{Status: Skip, Reason: "missing permission: " + what, Denied: true}
}

// Undecided says that the fact was seen and could not be judged for want of
// something only the caller has: what names it.
func Undecided(reason string, evidence ...Evidence) Finding {
	return Finding{Status: Skip, Reason: reason, Evidence: evidence, Denied: true}
}

// OutOfReach says that the provider has no stream that would show the fact, and
// what would. The address is evidence, so that one reason is told once.
func OutOfReach(err *cluster.OutOfReachError) Finding {
	f := Undecided("out of reach: "+err.Why, Text("address", err.Addr))
	if err.Hint != "" {
		f.Hint = []string{err.Hint}
	}
	return f
}

// Pend says that the fact legitimately does not hold yet, and until when.
func Pend(c Cause, deadline time.Time, first Evidence, rest ...Evidence) Finding {
	return Finding{
		Status: Pending, Cause: c, Deadline: deadline,
		Reason:   "not yet; a failure from " + deadline.UTC().Format(time.RFC3339),
		Evidence: append([]Evidence{first}, rest...),
	}
}

// Breaking says that meshprobe could not look, and why.
func Breaking(reason string, evidence ...Evidence) Finding {
	return Finding{Status: Broken, Reason: reason, Evidence: evidence}
}

// With adds a variable for the templates of the cause's hints.
func (f Finding) With(name, value string) Finding {
	vars := map[string]string{name: value}
	maps.Copy(vars, f.Vars)
	vars[name] = value
	f.Vars = vars
	return f
}

// Judged adds what each verifier says about the chain.
func (f Finding) Judged(v ...VerifierVerdict) Finding {
	f.Verdicts = append(f.Verdicts, v...)
	return f
}
