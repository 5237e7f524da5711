// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
)

// Set is the clusters of one mesh, as a provider opened them.
//
// It is safe for concurrent use; Clusters and Topology must not be changed.
type Set struct {
	Provider string
	Topology Topology
	Clusters []Cluster // in the order of the topology

	closeOnce sync.Once
	closeErr  error
	onClose   func(context.Context) error
}

// NewSet gathers the clusters that a provider opened. onClose, which may be
// nil, runs after every cluster is closed.
func NewSet(provider string, t Topology, clusters []Cluster, onClose func(context.Context) error) *Set {
	return &Set{Provider: provider, Topology: t, Clusters: clusters, onClose: onClose}
}

// Close closes what the provider opened: each cluster, then what they share.
// The first call does the work; later ones return its result.
func (s *Set) Close(ctx context.Context) error {
	s.closeOnce.Do(func() {
		var errs []error
		for _, c := range s.Clusters {
			if err := c.Close(ctx); err != nil {
				errs = append(errs, fmt.Errorf("cluster: close %s: %w", c.Name(), err))
			}
		}
		if s.onClose != nil {
			errs = append(errs, s.onClose(ctx))
		}
		s.closeErr = errors.Join(errs...)
	})
	return s.closeErr
}

// Cluster finds a cluster by name.
func (s *Set) Cluster(name string) (Cluster, bool) {
	for _, c := range s.Clusters {
		if c.Name() == name {
			return c, true
		}
	}
	return nil, false
}

// Pairs yields each unordered pair of clusters once, in topology order.
func (s *Set) Pairs() iter.Seq[Pair] {
	return func(yield func(Pair) bool) {
		for i, a := range s.Clusters {
			for _, b := range s.Clusters[i+1:] {
				if !yield(Pair{A: a, B: b}) {
					return
				}
			}
		}
	}
}

// Directions yields each ordered pair of clusters, in topology order.
func (s *Set) Directions() iter.Seq[Pair] {
	return func(yield func(Pair) bool) {
		for _, a := range s.Clusters {
			for _, b := range s.Clusters {
				if a != b && !yield(Pair{A: a, B: b, Ordered: true}) {
					return
				}
			}
		}
	}
}

// Edges yields the edges of the topology in its order.
func (s *Set) Edges() iter.Seq[Edge] {
	return func(yield func(Edge) bool) {
		for _, e := range s.Topology.Edges {
			if !yield(e) {
				return
			}
		}
	}
}

// Pair is two clusters; ordered where direction matters.
type Pair struct {
	A, B    Cluster
	Ordered bool
}

// String is "east → west" for an ordered pair, "east ↔ west" otherwise.
func (p Pair) String() string {
	if p.Ordered {
		return p.A.Name() + " → " + p.B.Name()
	}
	return p.A.Name() + " ↔ " + p.B.Name()
}

// Parts names the two clusters.
func (p Pair) Parts() []string { return []string{p.A.Name(), p.B.Name()} }

// Edge is a call that the mesh must carry: from a service account in one
// cluster to a service in another (or the same), over one data plane.
type Edge struct {
	From      Ref       `json:"from" yaml:"from"`           // cluster/namespace/serviceaccount
	To        Ref       `json:"to" yaml:"to"`               // cluster/namespace/service
	DataPlane DataPlane `json:"dataPlane" yaml:"dataPlane"` // default: that of To
}

// String is "east/shop/reviews → west/shop/ratings".
func (e Edge) String() string { return e.From.String() + " → " + e.To.String() }

// Parts names both ends.
func (e Edge) Parts() []string { return []string{e.From.String(), e.To.String()} }
