// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"sync"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Apply does what a plan says, in its order, on all clusters side by side: a
// step begins when the one before is done everywhere. It looks at each cluster
// again, so it also continues what was interrupted, and writes nothing where
// nothing is missing. In the end it proves the result like [Verify], unless
// Options.NoVerify, and only then ends the trust in the roots that
// Options.Overlap kept.
//
// Errors are [*Error], joined where several clusters failed. events may be
// nil.
func Apply(ctx context.Context, p *Plan, events cluster.Events) error {
	f, err := open(p.set, p.opts)
	if err != nil {
		return err
	}
	f.events = &emitter{events: events, now: f.opts.Now}
	for _, s := range f.steps() {
		if err := f.run(ctx, s); err != nil {
			return err
		}
	}
	if f.opts.NoVerify {
		return f.settle(ctx)
	}
	return f.finish(ctx)
}

func (f *federation) run(ctx context.Context, s step) error {
	if s.quiet {
		changes, err := f.planStep(ctx, s)
		if err != nil || len(changes) == 0 {
			return err
		}
	}
	if s.mesh != nil {
		done := f.events.begin(s.word, "", s.title)
		if err := s.mesh(ctx); err != nil {
			return wrap(s.word, "", err)
		}
		done()
		return nil
	}
	return each(f.members, f.opts.Parallel, func(m *member) error {
		done := f.events.begin(s.word, m.name, s.title)
		if err := s.apply(ctx, m); err != nil {
			return wrap(s.word, m.name, err)
		}
		done()
		return nil
	})
}

// emitter calls Events from one goroutine at a time.
type emitter struct {
	mu     sync.Mutex
	events cluster.Events
	now    func() time.Time
}

// begin tells that a step begins; what it returns tells that it is done.
func (e *emitter) begin(word, clusterName, detail string) (done func()) {
	start := e.now()
	e.emit(cluster.Event{Time: start, Cluster: clusterName, Step: word, Detail: detail})
	return func() {
		now := e.now()
		e.emit(cluster.Event{Time: now, Cluster: clusterName, Step: word, Detail: detail, Elapsed: max(now.Sub(start), 1)})
	}
}

// note tells something inside a step.
func (e *emitter) note(word, clusterName, detail string) {
	e.emit(cluster.Event{Time: e.now(), Cluster: clusterName, Step: word, Detail: detail})
}

func (e *emitter) emit(ev cluster.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.events.Emit(ev)
}
