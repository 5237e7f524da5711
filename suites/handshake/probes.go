// SPDX-License-Identifier: Apache-2.0

// Package handshake holds the probes of sidecar mutual TLS: across clusters
// per edge, and per listener what a sidecar must accept and refuse.
package handshake

import "github.com/meshprobe/meshprobe/pkg/probe"

// Probes lists the probes of the suite in report order.
func Probes() []probe.Probe {
	return []probe.Probe{
		SidecarMTLS, ChainVerifies, SecureNaming,
		LocalMTLS, ClientCertRequired, ForeignRootRefused, ALPN, TLSFloor,
		StrictRefusesPlaintext, PermissiveTakesBoth, DisableTakesPlaintext,
	}
}
