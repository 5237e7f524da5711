// SPDX-License-Identifier: Apache-2.0

// Package identity holds the probes of the certificates that workloads
// present: their SPIFFE IDs, their shape, their issuer and their lifetime; and of
// what their proxies hold, where a proxy can be asked.
package identity

import "github.com/meshprobe/meshprobe/pkg/probe"

// Probes lists the probes of the suite in report order.
func Probes() []probe.Probe {
	return []probe.Probe{
		SPIFFEID, LeafUsage, BelongsToWorkload, NotExpired, InsideIssuer, CurrentCA,
		SDSDelivered, SDSIssuer, SDSRoots, SDSPresented,
	}
}
