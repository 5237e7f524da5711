// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// day is the life of a workload's certificate.
const day = 24 * time.Hour

// hold makes the agent of a called workload present a certificate that the
// cluster's CA signed, and renew it no more.
func (v *victim) hold(ctx context.Context, dp cluster.DataPlane, describe func(namespace string, w cluster.WorkloadSpec, p *pluggedIn) (leaf, error)) error {
	if v.lab == nil {
		return errNoLab
	}
	namespace, w, err := v.served(dp)
	if err != nil {
		return err
	}
	p, err := v.plugin(ctx)
	if err != nil {
		return err
	}
	l, err := describe(namespace, w, p)
	if err != nil {
		return err
	}
	id, err := p.issue(l)
	if err != nil {
		return err
	}
	return v.lab.Hold(namespace, w.ServiceAccount, id)
}

func (v *victim) id(namespace string, w cluster.WorkloadSpec) string {
	return cluster.SPIFFEID(v.TrustDomain(), namespace, w.ServiceAccount)
}

func leafExpired(ctx context.Context, v *victim) error {
	return v.hold(ctx, cluster.Sidecar, func(namespace string, w cluster.WorkloadSpec, _ *pluggedIn) (leaf, error) {
		end := time.Now().Add(-2 * time.Hour)
		return leaf{ids: []string{v.id(namespace, w)}, begins: end.Add(-day), until: end}, nil
	})
}

func leafOutlives(ctx context.Context, v *victim) error {
	return v.hold(ctx, cluster.Sidecar, func(namespace string, w cluster.WorkloadSpec, p *pluggedIn) (leaf, error) {
		return leaf{ids: []string{v.id(namespace, w)}, begins: time.Now().Add(-time.Minute), until: p.cert.NotAfter.Add(day)}, nil
	})
}

func sanShape(ctx context.Context, v *victim) error {
	return v.hold(ctx, cluster.Sidecar, func(namespace string, w cluster.WorkloadSpec, _ *pluggedIn) (leaf, error) {
		now := time.Now()
		ids := []string{v.id(namespace, w), "spiffe://" + v.TrustDomain() + "/workload/" + w.Name}
		return leaf{ids: ids, begins: now.Add(-time.Minute), until: now.Add(day)}, nil
	})
}

func wrongWorkload(ctx context.Context, v *victim) error {
	return v.hold(ctx, cluster.Ambient, func(namespace string, w cluster.WorkloadSpec, _ *pluggedIn) (leaf, error) {
		other, err := v.neighbour(namespace, w)
		now := time.Now()
		return leaf{ids: []string{v.id(namespace, other)}, begins: now.Add(-time.Minute), until: now.Add(day)}, err
	})
}
