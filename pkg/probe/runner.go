// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Runner runs a plan and streams what it finds.
type Runner struct {
	Sink     Sink             // required; called from one goroutine only, not closed
	Parallel int              // observations in flight; 0 means 8
	Timeout  time.Duration    // per observation; 0 means 10s
	Wait     time.Duration    // how long a Pending may take before it is Fail; 0 leaves it Pending
	Strict   bool             // Warn counts as Fail in the verdict
	Now      func() time.Time // nil means time.Now
	Log      *slog.Logger     // nil discards
	Recorder *Recorder        // nil records nothing
}

// Setup makes the Env of a run: it opens clusters and federates them. It may
// call progress until it returns, from one goroutine at a time.
type Setup func(ctx context.Context, progress func(Progress)) (*Env, error)

// Run emits RunStarted, sets up, runs the plan stage by stage and emits
// RunDone, in every case. Findings, failures included, are never errors: the
// error says that a sink or the recorder was lost. When ctx ends, observing
// ends at once, what was not finished is Broken ("interrupted"), and Run
// returns when every worker has.
func (r *Runner) Run(ctx context.Context, start RunStarted, plan Plan, setup Setup) (Summary, error) {
	run := r.begin(start, plan)
	env, err := run.setUp(ctx, setup)
	if err != nil {
		run.setupDied(ctx, err)
		return run.finish(ctx)
	}
	run.expect(env)
	for i, stage := range plan.stages {
		run.last = i == len(plan.stages)-1
		run.stage(ctx, env, stage)
	}
	return run.finish(ctx)
}

// run is the state of one Run, owned by the goroutine that called it.
type run struct {
	*Runner
	started  time.Time
	failures map[string][]failure // by probe ID; read by workers of later stages only
	fresh    []failure            // of the stage in progress
	last     bool                 // no later stage could be blocked: failures need not be kept
	tally    tally
	lost     error // of sink or recorder
	seq      int
}

// failure is a finding that may block others.
type failure struct {
	id, text string
	parts    []string
	serves   string // of a workload: its service
	root     string // the finding that is the cause, by ID and subject
}

func (r *Runner) begin(start RunStarted, plan Plan) *run {
	c := *r
	c.Parallel = cmp.Or(c.Parallel, 8)
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	run := &run{Runner: &c, started: c.Now(), failures: map[string][]failure{}}
	run.tally = newTally(plan, c.Strict)
	start.Started, start.Profile = run.started, plan.Profile.Name
	for _, p := range plan.Probes {
		start.Planned = append(start.Planned, Planned{ID: p.ID, Title: p.Title})
	}
	run.emit(start)
	run.note(c.Recorder.start(start))
	return run
}

// emit hands an event to the sink. A sink that fails is lost, the run is not.
func (r *run) emit(e Event) {
	if err := r.Sink.Emit(e); err != nil {
		r.note(fmt.Errorf("probe: report: %w", err))
	}
}

func (r *run) note(err error) {
	if err != nil && r.lost == nil {
		r.lost = err
	}
}

// setUp runs setup beside the emitter, so that progress reaches the sink from
// this goroutine.
func (r *run) setUp(ctx context.Context, setup Setup) (*Env, error) {
	type result struct {
		env *Env
		err error
	}
	progress := make(chan Progress)
	done := make(chan result)
	var wg sync.WaitGroup
	wg.Go(func() {
		env, err := guarded(func() (*Env, error) {
			return setup(ctx, func(p Progress) { progress <- p })
		})
		done <- result{env, err}
	})
	defer wg.Wait()
	for {
		select {
		case p := <-progress:
			r.emit(p)
		case res := <-done:
			return res.env, res.err
		}
	}
}

// guarded turns a panic of f into an error.
func guarded[T any](f func() (T, error)) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f()
}

// setupDied reports the one thing that went wrong before any probe ran.
func (r *run) setupDied(ctx context.Context, err error) {
	f := Breaking(err.Error())
	if ctx.Err() != nil {
		f = Breaking("interrupted during set-up", Text("set-up", err.Error()))
	}
	if h, ok := errors.AsType[cluster.Hinted](err); ok {
		f.Hint = h.Hints()
	}
	f.ID, f.Title, f.Suite, f.Subject = "run/set-up", "the clusters come up and are federated", "run", Mesh{}.String()
	r.tally.died = true
	r.deliver(f, nil)
}

// expect tells the tally which directions must be tried: those of the edges, and
// all where no edge leads from any cluster to another, for nothing is then known
// of trust between them.
func (r *run) expect(env *Env) {
	crossing := false
	for e := range env.Set.Edges() {
		if e.From.Cluster != e.To.Cluster {
			r.tally.expect(e.From.Cluster, e.To.Cluster)
			crossing = true
		}
	}
	if crossing {
		return
	}
	for _, from := range env.Set.Topology.Clusters {
		for _, to := range env.Set.Topology.Clusters {
			if from.Name != to.Name {
				r.tally.expect(from.Name, to.Name)
			}
		}
	}
}

// stage observes and judges the groups of one stage with bounded parallelism.
func (r *run) stage(ctx context.Context, env *Env, groups []group) {
	jobs := make(chan job)
	results := make(chan outcome)
	var feeder, workers sync.WaitGroup
	feeder.Go(func() {
		defer close(jobs)
		for _, g := range groups {
			feed(env, g, jobs)
		}
	})
	for range r.Parallel {
		workers.Go(func() {
			for j := range jobs {
				results <- r.do(ctx, env, j)
			}
		})
	}
	var closer sync.WaitGroup
	closer.Go(func() { workers.Wait(); close(results) })
	for o := range results {
		r.note(r.Recorder.observation(o.record))
		if e, ok := o.exhibit(); ok {
			r.emit(e)
		}
		for _, f := range o.findings {
			r.deliver(f, o.job.subject)
		}
	}
	feeder.Wait()
	closer.Wait()
	for _, f := range r.fresh {
		r.failures[f.id] = append(r.failures[f.id], f)
	}
	r.fresh = nil
}

// feed yields one job per subject; a group without subjects is one job whose
// subject is nil.
func feed(env *Env, g group, jobs chan<- job) {
	empty := true
	index := 0
	for s := range g.obs.over(env) {
		empty = false
		index++
		jobs <- job{group: g, subject: s, index: index}
	}
	if empty {
		jobs <- job{group: g}
	}
}

// deliver numbers, counts and emits a finding, and remembers a failure.
func (r *run) deliver(f Finding, s Subject) {
	r.seq++
	f.Seq = r.seq
	if s != nil && !r.last && (f.Status == Fail || f.Status == Blocked) {
		root := f.BlockedBy
		if root == "" {
			root = f.ID + " " + f.Subject
		}
		r.fresh = append(r.fresh, failure{id: f.ID, text: f.Subject, parts: s.Parts(), serves: serves(s), root: root})
	}
	r.tally.count(f, s)
	r.emit(FindingDone{Finding: f})
}

func (r *run) finish(ctx context.Context) (Summary, error) {
	r.tally.interrupted = ctx.Err() != nil
	done := r.tally.done(r.started, r.Now())
	r.emit(done)
	r.note(r.Recorder.finish())
	return Summary{RunDone: done, Interrupted: r.tally.interrupted}, r.lost
}
