// SPDX-License-Identifier: Apache-2.0

// Package trust holds the probes of what clusters trust: one shared root,
// distributed everywhere, and trust domains that admit each other.
package trust

import "github.com/meshprobe/meshprobe/pkg/probe"

// Probes lists the probes of the suite in report order.
func Probes() []probe.Probe {
	return []probe.Probe{RootConfigMap, SharedRoot, TrustDomain, TrustDomainAliases, OneTrustDomain}
}
