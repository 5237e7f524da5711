// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Record is the observations of an earlier run.
type Record struct {
	Start  RunStarted
	byName map[string][]line
}

// maxRecordLine bounds one recorded observation.
const maxRecordLine = 16 << 20

// ReadRecord reads a record directory. The error says what the directory
// lacks.
func ReadRecord(dir fs.FS) (*Record, error) {
	raw, err := fs.ReadFile(dir, recordRunFile)
	if err != nil {
		return nil, fmt.Errorf("probe: not a record directory: %w", err)
	}
	rec := &Record{byName: map[string][]line{}}
	if err := json.Unmarshal(raw, &rec.Start); err != nil {
		return nil, fmt.Errorf("probe: not a record directory: %s: %w", recordRunFile, err)
	}
	if rec.Start.Started.IsZero() {
		return nil, fmt.Errorf("probe: not a record directory: %s tells of no run", recordRunFile)
	}
	f, err := dir.Open(recordObservationsFile)
	if err != nil {
		return nil, fmt.Errorf("probe: not a record directory: %w", err)
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, maxRecordLine)
	for n := 1; sc.Scan(); n++ {
		var l line
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("probe: %s line %d: %w", recordObservationsFile, n, err)
		}
		if l.Observation == "" {
			return nil, fmt.Errorf("probe: %s line %d is no observation", recordObservationsFile, n)
		}
		rec.byName[l.Observation] = append(rec.byName[l.Observation], l)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("probe: %s: %w", recordObservationsFile, err)
	}
	return rec, nil
}

// Has says whether the recorded run made the observation of a name, or found
// that there was nothing to observe. A probe of any other observation cannot be
// replayed.
func (r *Record) Has(name string) bool { return len(r.byName[name]) > 0 }

// Recorded is the observations of a record, by name, as raw JSON with their
// subjects, in the order in which they were made.
func (r *Record) Recorded(name string) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		for _, l := range r.byName[name] {
			if l.Value != nil && !yield(l.Subject, l.Value) {
				return
			}
		}
	}
}

// Replay judges a record with the probes of a plan, in place of observing.
func (r *Runner) Replay(ctx context.Context, rec *Record, plan Plan) (Summary, error) {
	stages := make([][]group, len(plan.stages))
	for i, stage := range plan.stages {
		for _, g := range stage {
			stages[i] = append(stages[i], group{obs: rec.source(g.obs), probes: g.probes})
		}
	}
	plan.stages = stages
	start := rec.Start
	start.Planned = nil
	return r.Run(ctx, start, plan, func(context.Context, func(Progress)) (*Env, error) {
		return &Env{Set: rec.set(), Now: time.Now, Log: slog.New(slog.DiscardHandler)}, nil
	})
}

// set gives the engine the directions that the recorded run tried.
func (r *Record) set() *cluster.Set {
	t := cluster.Topology{Edges: r.Start.Edges}
	for _, c := range r.Start.Clusters {
		t.Clusters = append(t.Clusters, cluster.ClusterSpec{Name: c.Name})
	}
	return cluster.NewSet(r.Start.Provider, t, nil, nil)
}

// source is an observation that reads the record.
func (r *Record) source(o *observation) *observation {
	lines := r.byName[o.name]
	return &observation{
		name: o.name,
		over: func(*Env) iter.Seq[Subject] {
			return func(yield func(Subject) bool) {
				for _, l := range lines {
					if !l.None && !yield(recorded{l}) {
						return
					}
				}
			}
		},
		observe: func(_ context.Context, _ *Env, s Subject) (any, error) {
			l := s.(recorded).line
			switch {
			case l.Denied != "":
				return nil, &DeniedError{What: l.Denied, Err: errors.New(l.Error)}
			case l.Error != "":
				return nil, errors.New(l.Error)
			}
			return o.decode(l.Value)
		},
		decode:  o.decode,
		exhibit: o.exhibit,
	}
}

// recorded is the subject of a recorded observation.
type recorded struct{ line line }

// String is the subject as it was recorded.
func (r recorded) String() string { return r.line.Subject }

// Parts are the subject's parts as they were recorded.
func (r recorded) Parts() []string { return r.line.Parts }
