// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

var _ cluster.Remotes = (*instance)(nil)

// RemoteClusters implements cluster.Remotes. A cluster whose API cannot be read
// has timed out, at once; one whose kubeconfig makes no client is not there, as
// with istiod. What istiod goes on with meanwhile (see earlier) it does not say.
func (in *instance) RemoteClusters(ctx context.Context) ([]cluster.IstiodRemotes, error) {
	var out []cluster.IstiodRemotes
	for _, name := range in.local().istiods() {
		out = append(out, cluster.IstiodRemotes{Istiod: name, Clusters: in.remoteStates(ctx)})
	}
	return out, ctx.Err()
}

// istiods are the pods that answer for the control plane.
func (r *registry) istiods() []string {
	var out []string
	for _, p := range r.pods {
		if p.namespace == rootNamespace && p.labels["app"] == istiodName && p.ready {
			out = append(out, p.name)
		}
	}
	return out
}

func (in *instance) remoteStates(ctx context.Context) []cluster.RemoteCluster {
	out := []cluster.RemoteCluster{{ID: in.spec.Name, Status: cluster.RemoteSynced}}
	for _, s := range in.remoteSecrets() {
		r, err := in.remote(s)
		if err != nil {
			continue
		}
		state := cluster.RemoteCluster{ID: s.cluster, Status: cluster.RemoteSynced}
		if _, err := r.registry(ctx, in.now()); err != nil {
			state.Status = cluster.RemoteTimeout
		}
		out = append(out, state)
	}
	return out
}
