// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// InnerIdentity is [Identity] inside the outer tunnel of double HBONE.
var InnerIdentity = probe.DefineOn(probe.Meta{
	ID:      "endpoint/inner-identity",
	Title:   "inside the tunnel, the identity that answers is the expected one",
	About:   aboutIdentity,
	Clause:  spec.IstioSecureNaming,
	Causes:  identityCauses(),
	After:   []string{"endpoint/inner-trust"},
	Applies: "endpoints",
}, met(), inner(judgeIdentity))
