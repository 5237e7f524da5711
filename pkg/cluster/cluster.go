// SPDX-License-Identifier: Apache-2.0

// Package cluster is the only view that meshprobe has of a cluster: what it is
// called, which workloads it runs, how a stream into it is opened, and which
// optional abilities its provider adds.
//
// Nothing outside a provider knows whether a cluster is embedded, made by kind
// or somebody's own. The package never judges: it hands out facts and streams.
package cluster

import (
	"context"
	"net"
)

// Cluster is one Kubernetes cluster of a mesh, seen through a provider.
//
// Implementations are safe for concurrent use.
type Cluster interface {
	// Name is the cluster's name, unique in its Set. It is also the cluster ID
	// under which istiod knows it (CLUSTER_ID).
	Name() string

	// Network is the value of topology.istio.io/network that the topology asks
	// for. What the cluster's objects really say is read through Kube.
	Network() string

	// TrustDomain is the trust domain that the mesh configuration of this
	// cluster names (meshConfig.trustDomain). Istio is laxer than SPIFFE about
	// its characters, so it is a plain string, compared case-sensitively.
	TrustDomain() string

	// TrustDomainAliases is meshConfig.trustDomainAliases, empty by default.
	TrustDomainAliases() []string

	// Workloads lists the running workloads with their current addresses, in
	// the order of the topology. The caller owns the slice.
	Workloads(ctx context.Context) ([]Workload, error)

	// Dial opens a TCP stream to addr (host:port) as seen from inside the
	// workload from: its network, its resolver, its routes. The zero Workload
	// means any pod of the cluster. The error is the network's own (refused,
	// timeout, no such host). The caller owns the connection.
	Dial(ctx context.Context, from Workload, addr string) (net.Conn, error)

	// Close releases what the provider holds for this cluster. Set.Close calls
	// it; it is safe to call twice.
	Close(ctx context.Context) error
}

// As finds an optional ability of a cluster: c itself where it implements T,
// else whatever c wraps (a wrapper has an Unwrap() Cluster method), so that
// decorators do not hide abilities.
func As[T any](c Cluster) (T, bool) {
	for c != nil {
		if t, ok := c.(T); ok {
			return t, true
		}
		u, ok := c.(interface{ Unwrap() Cluster })
		if !ok {
			break
		}
		c = u.Unwrap()
	}
	var zero T
	return zero, false
}
