// SPDX-License-Identifier: Apache-2.0

package cluster

import "context"

// Informed is the ability to say what a workload's data plane was told, and
// nothing that is worked out from objects instead: the EDS of its own sidecar,
// or what istiod tells the ztunnel of its node.
type Informed interface {
	// Told lists the endpoints of host:port that the workload from was told,
	// those in its own cluster first. None is not an error; the error is a
	// *NotOfferedError where nobody can be asked. An endpoint that lies in no
	// cluster of the set has no Cluster.
	Told(ctx context.Context, from Workload, host string, port uint16) ([]Endpoint, error)
}
