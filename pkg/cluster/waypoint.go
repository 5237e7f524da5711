// SPDX-License-Identifier: Apache-2.0

package cluster

import "context"

// Waypoint is a proxy that stands in front of services: a ztunnel sends their
// calls to it, and it calls the workloads behind them. It is a plain value.
type Waypoint struct {
	// Workload is its pod. The Ref's name is its Gateway's; the data plane is
	// Ambient, which says how it is spoken to.
	Workload

	// Services are those that it stands in front of, in its own cluster, by host.
	Services []Service `json:"services,omitempty"`
}

// Key is namespace/name, by which [Endpoint] names a waypoint: the same in every
// cluster that has one of that name.
func (w Waypoint) Key() string { return w.Namespace + "/" + w.Name }

// Waypoints is the ability to list the waypoints of a cluster.
type Waypoints interface {
	// Waypoints lists those that run, by namespace and name. The caller owns the
	// slice. A list of objects that is forbidden is a *DeniedError.
	Waypoints(ctx context.Context) ([]Waypoint, error)
}
