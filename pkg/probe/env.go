// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Env is what observations look at. It is safe for concurrent use and not
// changed during a run.
type Env struct {
	Set       *cluster.Set
	Workloads []cluster.Workload // inventory, taken once before the first probe
	Waypoints []cluster.Waypoint // likewise
	Subjects  iter.Seq[Subject]  // what a run without clusters looks at; nil for none
	Now       func() time.Time   // never nil
	Log       *slog.Logger       // never nil

	// Lacks are the permissions without which the inventory is not complete.
	Lacks []*DeniedError
}

// EnvOf is the Env of a run that looks at subjects of its own (endpoints,
// documents) and at no cluster. They are pulled one by one as the run goes on,
// from one goroutine. A nil now means time.Now.
func EnvOf(subjects iter.Seq[Subject], now func() time.Time) *Env {
	if now == nil {
		now = time.Now
	}
	return &Env{
		Set:      cluster.NewSet("", cluster.Topology{}, nil, nil),
		Subjects: subjects, Now: now, Log: slog.New(slog.DiscardHandler),
	}
}

// Given yields the subjects of type S that a run was given by EnvOf.
func Given[S Subject](env *Env) iter.Seq[S] {
	return func(yield func(S) bool) {
		if env.Subjects == nil {
			return
		}
		for s := range env.Subjects {
			if s, ok := s.(S); ok && !yield(s) {
				return
			}
		}
	}
}

// NewEnv takes the inventory of a set of clusters. A nil now means time.Now,
// a nil log discards.
func NewEnv(ctx context.Context, set *cluster.Set, now func() time.Time, log *slog.Logger) (*Env, error) {
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	env := &Env{Set: set, Now: now, Log: log}
	for _, c := range set.Clusters {
		ws, err := c.Workloads(ctx)
		if denied, ok := errors.AsType[*cluster.DeniedError](err); ok {
			env.Lacks = append(env.Lacks, &DeniedError{What: denied.What + " in " + c.Name(), Err: err})
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("probe: list the workloads of %s: %w", c.Name(), err)
		}
		env.Workloads = append(env.Workloads, ws...)
		if err := env.addWaypoints(ctx, c); err != nil {
			return nil, err
		}
	}
	return env, nil
}

// addWaypoints takes the waypoints of a cluster into the inventory, where its
// provider knows of such.
func (e *Env) addWaypoints(ctx context.Context, c cluster.Cluster) error {
	lister, ok := cluster.As[cluster.Waypoints](c)
	if !ok {
		return nil
	}
	found, err := lister.Waypoints(ctx)
	if denied, ok := errors.AsType[*cluster.DeniedError](err); ok {
		e.Lacks = append(e.Lacks, &DeniedError{What: denied.What + " in " + c.Name(), Err: err})
		return nil
	}
	if err != nil {
		return fmt.Errorf("probe: list the waypoints of %s: %w", c.Name(), err)
	}
	e.Waypoints = append(e.Waypoints, found...)
	return nil
}

// Source is a workload that runs as the source of an edge, and its cluster.
func (e *Env) Source(edge cluster.Edge) (cluster.Cluster, cluster.Workload, error) {
	for _, w := range e.Workloads {
		if w.Cluster == edge.From.Cluster && w.Namespace == edge.From.Namespace && w.ServiceAccount == edge.From.Name {
			c, ok := e.Set.Cluster(w.Cluster)
			if !ok {
				break
			}
			return c, w, nil
		}
	}
	if len(e.Lacks) > 0 {
		return nil, cluster.Workload{}, e.Lacks[0]
	}
	return nil, cluster.Workload{}, fmt.Errorf("no workload runs as %s", edge.From)
}

// Destinations are the workloads behind the destination service of an edge.
func (e *Env) Destinations(edge cluster.Edge) []cluster.Workload {
	var ws []cluster.Workload
	for _, w := range e.Workloads {
		if w.Service != nil && w.Cluster == edge.To.Cluster && w.Namespace == edge.To.Namespace && w.Service.Name == edge.To.Name {
			ws = append(ws, w)
		}
	}
	return ws
}

// DeniedError says that an observation lacks a permission. The runner turns
// it into Skip.
type DeniedError struct {
	What string // verb and resource, e.g. "get secrets in istio-system"
	Err  error
}

// Error names the verb and resource.
func (e *DeniedError) Error() string { return "missing permission: " + e.What }

// Unwrap is the error of the API.
func (e *DeniedError) Unwrap() error { return e.Err }
