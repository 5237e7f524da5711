// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"context"
	"errors"
	"net/netip"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// reach is nil where a dial from a workload meets what the workload itself would
// meet, and a *cluster.OutOfReachError where the provider stands in the wrong
// place for that.
func reach(ctx context.Context, c cluster.Cluster, from cluster.Workload, addr string) error {
	if v, ok := cluster.As[cluster.Vantage](c); ok {
		return v.Reach(ctx, from, addr)
	}
	return nil
}

// detour is another way to the sidecar of a workload whose own address is out of
// reach.
func detour(ctx context.Context, c cluster.Cluster, w cluster.Workload) (cluster.Endpoint, bool) {
	if v, ok := cluster.As[cluster.Vantage](c); ok {
		return v.Detour(ctx, w)
	}
	return cluster.Endpoint{}, false
}

// wayInto is where a client meets the sidecar of a workload: its own address,
// else a detour, else an error that says why there is none.
func wayInto(ctx context.Context, c cluster.Cluster, from, w cluster.Workload) (cluster.Endpoint, error) {
	addr := netip.AddrPortFrom(w.Address, w.Service.PodPort()).String()
	err := reach(ctx, c, from, addr)
	if err == nil {
		return cluster.Endpoint{Address: addr}, nil
	}
	if ep, ok := detour(ctx, c, w); ok {
		return ep, nil
	}
	return cluster.Endpoint{}, err
}

// tooFar keeps what a provider says of an address that it cannot reach.
func tooFar(err error) *cluster.OutOfReachError {
	far, _ := errors.AsType[*cluster.OutOfReachError](err)
	return far
}
