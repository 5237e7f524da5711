// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// InnerAccepted is [Accepted] inside the outer tunnel of double HBONE.
var InnerAccepted = probe.DefineOn(probe.Meta{
	ID:      "endpoint/inner-accepted",
	Title:   "inside the tunnel, the server accepts the client",
	About:   aboutAccepted,
	Clause:  spec.IstioMutualTLS,
	Causes:  acceptedCauses(),
	After:   []string{"endpoint/inner-client-certificate"},
	Applies: "endpoints",
}, met(), inner(judgeAccepted))
