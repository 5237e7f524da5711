// SPDX-License-Identifier: Apache-2.0

package live

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

var _ cluster.Informed = (*Cluster)(nil)

// Told implements cluster.Informed: Resolve without what it falls back to.
func (c *Cluster) Told(ctx context.Context, from cluster.Workload, host string, port uint16) ([]cluster.Endpoint, error) {
	ns, name, _ := strings.Cut(serviceKey(host, from.Namespace), "/")
	host = hostOf(ns, name)
	var found []cluster.Endpoint
	err := errNotTold
	switch from.DataPlane {
	case cluster.Sidecar:
		found, err = c.fromSidecar(ctx, from, host, port)
	case cluster.Ambient:
		found, err = c.fromIstiod(ctx, host, port)
	case cluster.NoMesh:
	}
	if errors.Is(err, errNotTold) {
		return nil, &cluster.NotOfferedError{What: "whoever tells " + from.String() + " its endpoints", Err: err}
	}
	if err != nil {
		return nil, notOffered("the debug interface of istiod in "+c.Name(), err)
	}
	slices.SortStableFunc(found, func(a, b cluster.Endpoint) int {
		return cmp.Or(boolCompare(a.Cluster != c.Name(), b.Cluster != c.Name()), strings.Compare(a.Cluster, b.Cluster))
	})
	return found, nil
}
