// SPDX-License-Identifier: Apache-2.0

// Package gateway holds the probes of east-west gateways: what they pass on
// and what they must not.
package gateway

import "github.com/meshprobe/meshprobe/pkg/probe"

// Probes lists the probes of the suite in report order.
func Probes() []probe.Probe {
	return []probe.Probe{Passthrough, UnknownSNI, HBONE, UnknownAuthority}
}
