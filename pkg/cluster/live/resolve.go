// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Resolve implements cluster.Resolver.
func (c *Cluster) Resolve(ctx context.Context, from cluster.Workload, host string, port uint16) ([]cluster.Endpoint, error) {
	return nil, ctx.Err()
}

// Detour implements cluster.Vantage.
func (c *Cluster) Detour(ctx context.Context, w cluster.Workload) (cluster.Endpoint, bool) {
	return cluster.Endpoint{}, false
}
