// SPDX-License-Identifier: Apache-2.0

// Package hbone holds the probes of HBONE: per listener what a ztunnel must
// accept and refuse, per edge both layers of double HBONE.
package hbone

import "github.com/meshprobe/meshprobe/pkg/probe"

// Probes lists the probes of the suite in report order.
func Probes() []probe.Probe {
	return []probe.Probe{
		Double, OuterIdentity, InnerIdentity,
		Handshake, OwnAuthority, ForeignAuthority, ForeignRootRefused, ClientCertRequired, TLSFloor, Settings,
		WaypointIdentity, WaypointTraffic,
	}
}
