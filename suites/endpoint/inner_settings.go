// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// InnerSettings is [Settings] inside the outer tunnel of double HBONE.
var InnerSettings = probe.DefineOn(probe.Meta{
	ID:      "endpoint/inner-settings",
	Title:   "inside the tunnel, the HTTP/2 settings allow pooled tunnels",
	About:   aboutSettings,
	Clause:  spec.HBONESettings,
	Causes:  settingsCauses(),
	After:   []string{"endpoint/inner-identity"},
	Applies: "HBONE endpoints",
}, met(), inner(judgeSettings))
