// SPDX-License-Identifier: Apache-2.0

// Package discovery holds the probes of how clusters find each other: remote
// secrets, networks, gateways, service entries.
package discovery

import "github.com/meshprobe/meshprobe/pkg/probe"

// Probes lists the probes of the suite in report order.
func Probes() []probe.Probe {
	return []probe.Probe{
		RemoteSecret, RemoteCluster, ProxySync, NetworkLabel, GatewayAddress, GatewayEndpoint, ServiceEntry,
	}
}
