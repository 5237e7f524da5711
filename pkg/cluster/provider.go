// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"sync"
	"time"
)

// Provider opens the clusters of a topology.
type Provider interface {
	// Name is the word of --provider, e.g. "embedded".
	Name() string

	// Open brings the clusters up, or attaches to them, and returns them ready
	// for federation: API reachable, control plane and workloads running.
	// The Set owns what was opened. On error nothing is left behind. events
	// may be nil; it is never called after Open returned.
	Open(ctx context.Context, t Topology, events Events) (*Set, error)
}

// Events receives progress. It may be called from several goroutines, but
// never from two at once. A nil Events discards.
type Events func(Event)

// Event is one step of progress: of a provider, of a federation.
type Event struct {
	Time    time.Time     `json:"time"`
	Cluster string        `json:"cluster,omitempty"` // empty: the whole mesh
	Step    string        `json:"step"`              // stable kebab-case word, e.g. "cacerts"
	Detail  string        `json:"detail,omitempty"`  // for people, no credentials
	Elapsed time.Duration `json:"elapsed,omitempty"` // 0 while the step begins
}

// Emit calls the receiver unless it is nil.
func (e Events) Emit(ev Event) {
	if e != nil {
		e(ev)
	}
}

// Serial returns events that may be emitted from several goroutines: it keeps
// two of them from being in e at once. Of nil it is nil.
func (e Events) Serial() Events {
	if e == nil {
		return nil
	}
	var mu sync.Mutex
	return func(ev Event) {
		mu.Lock()
		defer mu.Unlock()
		e(ev)
	}
}
