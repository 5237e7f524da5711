// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// maxTold bounds the endpoints that are kept.
const maxTold = 64

// endpointTold is what the caller of an edge was told.
type endpointTold struct {
	At         time.Time          `json:"at"`
	Edge       cluster.Edge       `json:"edge"`
	Source     cluster.Workload   `json:"source"`
	Service    cluster.Service    `json:"service"`
	PeerMTLS   cluster.MTLSMode   `json:"peerMTLS"`
	Network    string             `json:"network"`              // of the destination
	NotOffered string             `json:"notOffered,omitempty"` // why nobody can be asked
	Told       []cluster.Endpoint `json:"told"`
	Gateways   []gatewayService   `json:"gateways"` // of the destination cluster
}

// crossing yields the edges that lead into another network.
func crossing(env *probe.Env) iter.Seq[cluster.Edge] {
	return func(yield func(cluster.Edge) bool) {
		for e := range env.Set.Edges() {
			from, ok := env.Set.Cluster(e.From.Cluster)
			to, known := env.Set.Cluster(e.To.Cluster)
			if ok && known && from.Network() != to.Network() && !yield(e) {
				return
			}
		}
	}
}

func observeGatewayEndpoint(ctx context.Context, env *probe.Env, e cluster.Edge) (endpointTold, error) {
	o := endpointTold{At: env.Now(), Edge: e}
	from, source, err := env.Source(e)
	if err != nil {
		return o, err
	}
	to, ok := env.Set.Cluster(e.To.Cluster)
	destinations := env.Destinations(e)
	if len(destinations) == 0 && len(env.Lacks) > 0 {
		return o, env.Lacks[0]
	}
	if !ok || len(destinations) == 0 {
		return o, fmt.Errorf("no workload behind %s", e.To)
	}
	o.Source, o.Service, o.PeerMTLS, o.Network = source, *destinations[0].Service, destinations[0].MTLS, to.Network()
	asked, ok := cluster.As[cluster.Informed](from)
	if !ok {
		o.NotOffered = "the provider asks no data plane"
		return o, nil
	}
	told, err := asked.Told(ctx, source, o.Service.Host, o.Service.Port)
	if closed, ok := errors.AsType[*cluster.NotOfferedError](err); ok {
		o.NotOffered = closed.Error()
		return o, nil
	}
	if err != nil {
		return o, seen.APIError(err, "create", "pods/portforward in "+source.Namespace)
	}
	// Those of the destination first: they are what is kept of many.
	slices.SortStableFunc(told, func(a, b cluster.Endpoint) int {
		return cmp.Compare(rank(a, e), rank(b, e))
	})
	o.Told = told[:min(len(told), maxTold)]
	k, err := seen.Kube(to)
	if err != nil {
		return o, err
	}
	o.Gateways, err = gatewayServices(ctx, k)
	return o, err
}

func rank(ep cluster.Endpoint, e cluster.Edge) int {
	if ep.Cluster == e.To.Cluster {
		return 0
	}
	return 1
}
