// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Provider attaches to the clusters of kubeconfig contexts. It is safe for
// concurrent use.
type Provider struct{ Options Options }

var _ cluster.Provider = (*Provider)(nil)

// Name is "live".
func (p *Provider) Name() string { return Name }

// Open attaches to each cluster of the topology by its Context, discovers what
// the topology leaves open, and returns a Set whose Topology says what was
// found. Clusters that name no Namespaces stand for everything that runs in
// them; edges that are not given are derived. Such a topology is what Contexts
// makes; one from a file is complete already. On error nothing is left open.
func (p *Provider) Open(ctx context.Context, t cluster.Topology, events cluster.Events) (*cluster.Set, error) {
	config, err := loadKubeconfig(p.Options.Kubeconfigs)
	if err != nil {
		return nil, fmt.Errorf("live: %w", err)
	}
	attached := make([]*Cluster, len(t.Clusters))
	group, groupCtx := errgroup.WithContext(ctx)
	events = events.Serial()
	for i, spec := range t.Clusters {
		group.Go(func() error {
			cfg, err := p.config(config, spec)
			if err != nil {
				return err
			}
			if attached[i], err = Attach(groupCtx, cfg); err != nil {
				return notAttached(err, cfg.Spec.Context)
			}
			attached[i].tell(groupCtx, events)
			if p.Options.Overrides[cfg.Spec.Context].Name != "" {
				return nil
			}
			return misnamed(spec.Name, attached[i].facts)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, errors.Join(err, closeAll(ctx, attached))
	}
	Join(attached...)
	if err := invite(ctx, attached, events); err != nil {
		return nil, errors.Join(err, closeAll(ctx, attached))
	}
	return NewSet(ctx, Name, t, attached, events)
}

// NewSet joins clusters into a Set and completes its topology: names, networks
// and trust domains as they were found, and edges where there are none. On error
// the clusters are closed.
func NewSet(ctx context.Context, provider string, t cluster.Topology, attached []*Cluster, events cluster.Events) (*cluster.Set, error) {
	Join(attached...)
	t, err := complete(ctx, t, attached, events)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("live: %w", err), closeAll(ctx, attached))
	}
	clusters := make([]cluster.Cluster, len(attached))
	for i, c := range attached {
		clusters[i] = c
	}
	return cluster.NewSet(provider, t, clusters, nil), nil
}

func closeAll(ctx context.Context, attached []*Cluster) error {
	var errs []error
	for _, c := range attached {
		if c != nil {
			errs = append(errs, c.Close(context.WithoutCancel(ctx)))
		}
	}
	return errors.Join(errs...)
}
