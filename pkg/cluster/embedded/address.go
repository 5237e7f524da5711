// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"net/netip"
	"sync/atomic"
)

// addresses hands out the virtual addresses of one cluster. Clusters never
// overlap, so that clusters of one network need no translation.
type addresses struct {
	cluster  byte // index in the topology
	pods     atomic.Uint32
	services atomic.Uint32
}

// pod is 10.CLUSTER.x.y. Addresses are not given twice while there are any:
// a stale address leads nowhere instead of to somebody else.
func (a *addresses) pod() netip.Addr {
	n := a.pods.Add(1) + 1 // .1 is the node's bridge
	return netip.AddrFrom4([4]byte{10, a.cluster, byte(n >> 8), byte(n)})
}

// service is 10.(128+CLUSTER).x.y.
func (a *addresses) service() netip.Addr {
	n := a.services.Add(1)
	return netip.AddrFrom4([4]byte{10, 128 + a.cluster, byte(n >> 8), byte(n)})
}

// node is the address of the cluster's only node.
func (a *addresses) node() netip.Addr {
	return netip.AddrFrom4([4]byte{10, a.cluster, 0, 1})
}

// external are the load balancer addresses of the sidecar and of the ambient
// east-west gateway, in TEST-NET-1 (RFC 5737): two per cluster, 100 clusters.
func (a *addresses) external() (sidecar, ambient netip.Addr) {
	n := 2*a.cluster + 1
	return netip.AddrFrom4([4]byte{192, 0, 2, n}), netip.AddrFrom4([4]byte{192, 0, 2, n + 1})
}
