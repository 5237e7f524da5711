// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"
	"errors"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

var _ cluster.Informed = (*instance)(nil)

// errNoIstiod says that nobody answers for the control plane.
var errNoIstiod = errors.New("no pod of istiod is ready")

// Told implements cluster.Informed: these proxies ask their control plane for
// each call, so that they know what it would tell them. What a ztunnel was told
// is asked of istiod, as with real ones.
func (in *instance) Told(ctx context.Context, from cluster.Workload, host string, port uint16) ([]cluster.Endpoint, error) {
	if from.DataPlane == cluster.Ambient && len(in.local().istiods()) == 0 {
		return nil, &cluster.NotOfferedError{What: "the debug interface of istiod in " + in.spec.Name, Err: errNoIstiod}
	}
	return in.Resolve(ctx, from, host, port)
}
