// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Event is one step of a run: RunStarted, Progress, Exhibit, FindingDone or
// RunDone.
type Event interface{ event() }

// RunStarted opens a run. A sink gets it first, once.
type RunStarted struct {
	Version  string // of meshprobe
	Provider string
	Profile  string
	Started  time.Time
	Clusters []ClusterFacts
	Edges    []cluster.Edge // the calls that must work
	Planned  []Planned      // every probe of the plan, in plan order
}

// ClusterFacts identifies a cluster in a report.
type ClusterFacts struct {
	Name        string `json:"name"`
	Network     string `json:"network"`
	TrustDomain string `json:"trustDomain"`
}

// Planned is one probe of the plan.
type Planned struct{ ID, Title string }

// Progress is for a person who waits: bring-up, federation, a stage. It is no
// part of any report.
type Progress struct {
	Time    time.Time
	Cluster string
	Step    string
	Detail  string
}

// Exhibit is a value that belongs to a run and is shown beside its findings: an
// endpoint as it was seen, a document as it was read. It comes before the
// findings about it.
//
// Value survives encoding/json and holds public data only. It may offer
// Page() string, lines for a person, and Line() string, the same in one line;
// both may repeat what a peer said as it stands: a reporter makes it harmless.
type Exhibit struct {
	Kind    ExhibitKind
	Subject string
	Index   int // position of the subject among those of its observation, from 1
	Value   any
}

// ExhibitKind says what is shown; it is the name of the event in JSON lines.
type ExhibitKind string

// The kinds of exhibits.
const (
	ExhibitEndpoint ExhibitKind = "endpoint" // what was seen on the wire
	ExhibitDocument ExhibitKind = "document" // what was read
)

// FindingDone carries one finding, in completion order.
type FindingDone struct{ Finding Finding }

// RunDone closes a run. A sink gets it last, once, also after an interrupt or
// a set-up that died.
type RunDone struct {
	Verdict  Verdict
	Counts   map[Status]int
	Unknown  int // failures whose cause is Unknown
	Ended    time.Time
	Duration time.Duration
}

func (RunStarted) event()  {}
func (Progress) event()    {}
func (Exhibit) event()     {}
func (FindingDone) event() {}
func (RunDone) event()     {}

// Sink receives the events of a run, from one goroutine.
type Sink interface {
	// Emit takes one event. An error means that the sink is lost (disk full,
	// pipe closed); the run goes on without it and says so at the end.
	Emit(Event) error

	// Close finishes the output: files become visible only here. It is called
	// once, after RunDone.
	Close() error
}
