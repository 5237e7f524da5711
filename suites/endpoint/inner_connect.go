// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// InnerConnect is [Connect] inside the outer tunnel of double HBONE.
var InnerConnect = probe.DefineOn(probe.Meta{
	ID:      "endpoint/inner-connect",
	Title:   "inside the tunnel, the CONNECT is answered with 200",
	About:   aboutConnect,
	Clause:  spec.HBONEStatuses,
	Causes:  connectCauses(),
	After:   []string{"endpoint/inner-identity", "endpoint/inner-settings"},
	Applies: "HBONE endpoints",
}, met(), inner(judgeConnect))
