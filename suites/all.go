// SPDX-License-Identifier: Apache-2.0

// Package suites is the list of all probes, in report order.
package suites

import (
	"slices"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites/ca"
	"github.com/meshprobe/meshprobe/suites/discovery"
	"github.com/meshprobe/meshprobe/suites/endpoint"
	"github.com/meshprobe/meshprobe/suites/gateway"
	"github.com/meshprobe/meshprobe/suites/handshake"
	"github.com/meshprobe/meshprobe/suites/hbone"
	"github.com/meshprobe/meshprobe/suites/identity"
	"github.com/meshprobe/meshprobe/suites/material"
	"github.com/meshprobe/meshprobe/suites/trust"
)

// All lists every probe: those of a mesh, then those of other commands, which
// list, explain and docs/PROBES.md know and run does not plan.
func All() []probe.Probe {
	return slices.Concat(Mesh(), endpoint.Probes(), material.Probes())
}

// Mesh lists the probes of meshprobe run: first what the clusters' objects say,
// then what the wire says.
func Mesh() []probe.Probe {
	return slices.Concat(
		ca.Probes(), trust.Probes(), identity.Probes(), discovery.Probes(),
		gateway.Probes(), handshake.Probes(), hbone.Probes(),
	)
}
