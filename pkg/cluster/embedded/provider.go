// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/vnet"
)

// Name is the provider's word on the command line.
const Name = "embedded"

// Provider opens clusters in this process. The zero value is ready; each Open
// makes a mesh of its own. It is safe for concurrent use.
type Provider struct {
	// Now is the clock of certificates, tokens and timestamps; nil is time.Now.
	// Only connections keep real time.
	Now func() time.Time

	// Log receives what the control planes would log; nil discards. No
	// credential is ever logged.
	Log *slog.Logger

	// ConnectTimeout bounds a dial into a black hole, such as a pod of another
	// network; 0 means vnet.DefaultConnectTimeout. The context of the dial
	// bounds it as well.
	ConnectTimeout time.Duration
}

var _ cluster.Provider = (*Provider)(nil)

// Name is "embedded".
func (p *Provider) Name() string { return Name }

// Open brings the clusters of a topology up: not federated, each with a
// self-signed CA of its own, no network named, no remote secret.
func (p *Provider) Open(ctx context.Context, t cluster.Topology, events cluster.Events) (*cluster.Set, error) {
	if n := len(t.Clusters); n > cluster.MaxClusters {
		return nil, fmt.Errorf("embedded: %d clusters; at most %d fit", n, cluster.MaxClusters)
	}
	m := &mesh{
		now: p.Now, log: p.Log,
		net:     &vnet.Net{ConnectTimeout: p.ConnectTimeout},
		byURL:   map[string]*instance{},
		remotes: map[[32]byte]*remote{},
	}
	if m.now == nil {
		m.now = time.Now
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	instances, err := m.open(ctx, t, events.Serial())
	if err != nil {
		err = fmt.Errorf("embedded: %w", err)
		for _, in := range instances {
			err = errors.Join(err, in.Close(context.WithoutCancel(ctx)))
		}
		m.close()
		return nil, err
	}
	clusters := make([]cluster.Cluster, len(instances))
	for i, in := range instances {
		clusters[i] = in
	}
	return cluster.NewSet(Name, t, clusters, func(context.Context) error { m.close(); return nil }), nil
}

// mesh is what the clusters of one Open share: the network between them, and
// the connections that their control planes hold to each other's APIs.
type mesh struct {
	now func() time.Time
	log *slog.Logger
	net *vnet.Net

	mu      sync.Mutex
	byURL   map[string]*instance
	remotes map[[32]byte]*remote
}

// open starts the clusters side by side. What started is returned in any case.
func (m *mesh) open(ctx context.Context, t cluster.Topology, events cluster.Events) ([]*instance, error) {
	started := make([]*instance, len(t.Clusters))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(2 * runtime.GOMAXPROCS(0))
	for i, spec := range t.Clusters {
		group.Go(func() error {
			begin := m.now()
			events.Emit(cluster.Event{Time: begin, Cluster: spec.Name, Step: "bring-up"})
			in, err := newInstance(groupCtx, m, spec, byte(i))
			started[i] = in
			if err == nil {
				err = in.bringUp(groupCtx)
			}
			if err != nil {
				return fmt.Errorf("bring up %s: %w", spec.Name, err)
			}
			end := m.now()
			events.Emit(cluster.Event{Time: end, Cluster: spec.Name, Step: "bring-up", Detail: "control plane and workloads are running", Elapsed: max(end.Sub(begin), 1)})
			return nil
		})
	}
	err := group.Wait()
	var kept []*instance
	for _, in := range started {
		if in != nil {
			kept = append(kept, in)
		}
	}
	return kept, err
}

func (m *mesh) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.remotes {
		r.close()
	}
	clear(m.remotes)
}
