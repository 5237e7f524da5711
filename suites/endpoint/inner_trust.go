// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// InnerTrust is [Trust] inside the outer tunnel of double HBONE.
var InnerTrust = probe.DefineOn(probe.Meta{
	ID:      "endpoint/inner-trust",
	Title:   "inside the tunnel, the chain verifies against the trust bundle",
	About:   aboutTrust,
	Clause:  spec.X509PathValidation,
	Causes:  trustCauses(cluster.Ambient),
	After:   []string{"endpoint/inner-accepted"},
	Applies: "endpoints",
}, met(), inner(judgeTrust))
