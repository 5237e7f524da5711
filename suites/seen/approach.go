// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"context"
	"errors"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// approach prepares a call along an edge as far as the gateway. ready is false
// where there is none to make: no way leads through the gateway, or the caller's
// own CA gives it no certificate, which other probes say.
func approach(ctx context.Context, env *probe.Env, e cluster.Edge) (g Gateway, src cluster.Cluster, id *cluster.Identity, ready bool, err error) {
	g.Edge, src, id, err = prepare(ctx, env, e)
	if _, denied := errors.AsType[*probe.DeniedError](err); err != nil && src != nil && !denied && ctx.Err() == nil {
		g.NoCaller = err.Error()
		return g, src, nil, false, nil
	}
	return g, src, id, err == nil && g.Endpoint != nil && g.Endpoint.Gateway, err
}
