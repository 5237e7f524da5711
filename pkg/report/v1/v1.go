// SPDX-License-Identifier: Apache-2.0

// Package v1 holds the JSON that meshprobe writes and other programs read.
//
// Fields are added, never renamed or given another meaning. [Report] is the
// one object of -o json; [Decoder] reads the lines of -o jsonl. Everything is
// converted from and to the types of package probe here and nowhere else:
// [RunOf], [FindingOf] and [DoneOf] on the way out, [Finding.Probe] and its
// siblings on the way in.
//
// The types carry encoding/json tags, so any program may decode them; this
// package itself writes them with AppendJSON, which allocates nothing and
// gives the same bytes.
package v1

import (
	"encoding/json"
	"time"
)

// Schema names this version of the contract.
const Schema = "meshprobe/v1"

// Report is the object of -o json and --json.
type Report struct {
	Schema    string            `json:"schema"`
	Run       Run               `json:"run"`
	Endpoint  json.RawMessage   `json:"endpoint,omitempty"`  // probe: what was seen of the one endpoint
	Endpoints []json.RawMessage `json:"endpoints,omitempty"` // probe: of each, where there are several
	Documents []json.RawMessage `json:"documents,omitempty"` // inspect: what was read
	Findings  []Finding         `json:"findings"`
	Verdict   string            `json:"verdict"` // conformant | partial | nonconformant | inconclusive
	Counts    Counts            `json:"counts"`
	Unknown   int               `json:"unknown"` // findings whose cause is not known
}

// Exhibit is an endpoint as it was seen or a document as it was read, the
// "endpoint" or "document" event of JSONL. The value stands under the name of
// its event.
type Exhibit struct {
	Event    string          `json:"event"`
	Subject  string          `json:"subject"`
	Index    int             `json:"index"` // position in the input, from 1
	Endpoint json.RawMessage `json:"endpoint,omitempty"`
	Document json.RawMessage `json:"document,omitempty"`
}

// Counts is the number of findings per status; every status is present.
type Counts map[string]int

// Run says what was run, where and when.
type Run struct {
	Version    string    `json:"version"`
	Provider   string    `json:"provider"`
	Profile    string    `json:"profile"`
	Started    time.Time `json:"started"`     // UTC
	DurationMS int64     `json:"duration_ms"` // whole milliseconds, rounded; 0 in a "run" event
	Clusters   []Cluster `json:"clusters"`
	Planned    []Planned `json:"planned"` // every probe of the plan, in plan order
}

// Cluster identifies a cluster.
type Cluster struct {
	Name        string `json:"name"`
	Network     string `json:"network"`
	TrustDomain string `json:"trustDomain"`
}

// Planned is one probe of the plan.
type Planned struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

// Finding is what one probe says of one subject.
type Finding struct {
	ID         string     `json:"id"`
	Title      string     `json:"title"` // the healthy fact
	Subject    string     `json:"subject"`
	Status     string     `json:"status"`               // pass | fail | warn | note | skip | pending | blocked | broken
	Cause      string     `json:"cause,omitempty"`      // stable code; with fail, warn, note and pending
	CauseTitle string     `json:"causeTitle,omitempty"` // one line for a person
	Level      string     `json:"level,omitempty"`      // must | should | may
	Clause     string     `json:"clause,omitempty"`     // citation, such as "X509-SVID §2"
	Evidence   []Evidence `json:"evidence"`
	Hint       []string   `json:"hint"`
	BlockedBy  string     `json:"blockedBy,omitempty"` // ID and subject of a failing finding
	DurationMS int64      `json:"duration_ms"`         // whole milliseconds, rounded
	Verdicts   []Verdict  `json:"verdicts,omitempty"`
	Reason     string     `json:"reason,omitempty"`   // with skip, pending and broken
	Deadline   *time.Time `json:"deadline,omitempty"` // with pending: when it becomes fail; UTC
	Denied     bool       `json:"denied,omitempty"`   // a skip for want of permission
	Seq        int        `json:"seq,omitempty"`      // completion order, from 1
}

// Evidence is one fact that a finding rests on.
type Evidence struct {
	Kind  string `json:"kind"`
	Label string `json:"label"`
	Want  string `json:"want,omitempty"`
	Got   string `json:"got"`
}

// Verdict is what one verifier says about a chain.
type Verdict struct {
	Verifier string `json:"verifier"` // go | openssl | envoy | ztunnel
	Accepts  bool   `json:"accepts"`
	Reason   string `json:"reason,omitempty"`
	Clause   string `json:"clause,omitempty"`
}

// Done is the end of a run, the "done" event of JSONL.
type Done struct {
	Verdict    string    `json:"verdict"`
	Counts     Counts    `json:"counts"`
	Unknown    int       `json:"unknown"`
	Ended      time.Time `json:"ended"` // UTC
	DurationMS int64     `json:"duration_ms"`
}

// The values of "event" in a JSONL line.
const (
	EventRun      = "run"      // first line: schema and the fields of Run
	EventEndpoint = "endpoint" // the fields of Exhibit, before the findings about it
	EventDocument = "document" // the same of a document
	EventFinding  = "finding"  // the fields of Finding
	EventDone     = "done"     // last line: the fields of Done
)
