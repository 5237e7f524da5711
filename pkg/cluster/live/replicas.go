// SPDX-License-Identifier: Apache-2.0

package live

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Replicas implements cluster.Replicated. A pod that became ready after the
// cluster was listed is not among them.
func (c *Cluster) Replicas(ctx context.Context, w cluster.Workload) ([]cluster.Replica, error) {
	inv, err := c.inventory.get(ctx)
	if err != nil {
		return nil, err
	}
	return inv.replicas(w), nil
}

func (inv *inventory) replicas(w cluster.Workload) []cluster.Replica {
	var pods []*corev1.Pod
	for _, p := range inv.pods {
		name, lasting := owner(p)
		if lasting && name == w.Name && p.Namespace == w.Namespace && p.Status.PodIP != w.Address.String() &&
			p.DeletionTimestamp == nil && ready(p) && hasSidecar(p) == (w.DataPlane == cluster.Sidecar) {
			pods = append(pods, p)
		}
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	var out []cluster.Replica
	for _, p := range pods {
		address, err := netip.ParseAddr(p.Status.PodIP)
		if err != nil {
			continue // none yet
		}
		r := cluster.Replica{Workload: w, Pod: p.Name}
		r.Address = address
		out = append(out, r)
	}
	return out
}
