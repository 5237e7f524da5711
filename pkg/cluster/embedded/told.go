// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

var _ cluster.Informed = (*instance)(nil)

// Told implements cluster.Informed: these proxies ask their control plane for
// each call, so that they know what it would tell them.
func (in *instance) Told(ctx context.Context, from cluster.Workload, host string, port uint16) ([]cluster.Endpoint, error) {
	return in.Resolve(ctx, from, host, port)
}
