// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// InnerChain is [Chain] inside the outer tunnel of double HBONE.
var InnerChain = probe.DefineOn(probe.Meta{
	ID:      "endpoint/inner-chain",
	Title:   "inside the tunnel, the chain is sent leaf first, in order, with nothing else",
	About:   aboutChain,
	Clause:  spec.TLSChainOrder,
	Causes:  chainCauses(),
	After:   []string{"endpoint/inner-accepted"},
	Applies: "endpoints",
}, met(), inner(judgeChain))
