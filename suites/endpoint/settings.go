// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"fmt"
	"slices"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// Settings checks the limits that an HBONE server announces.
var Settings = probe.DefineOn(probe.Meta{
	ID:      "endpoint/settings",
	Title:   "the HTTP/2 settings allow pooled tunnels",
	About:   aboutSettings,
	Clause:  spec.HBONESettings,
	Causes:  settingsCauses(),
	After:   []string{"endpoint/identity"},
	Applies: "HBONE endpoints",
}, met(), outer(judgeSettings))

const aboutSettings = "The first frame of the server is SETTINGS. ztunnel announces 200 streams and Envoy 100; fewer than 100 makes clients open more connections, none at all admits no tunnel."

func settingsCauses() []probe.Cause {
	return []probe.Cause{causeSettings}
}

var causeSettings = probe.Cause{
	Code: "hbone-settings", Title: "the HTTP/2 settings leave no room for HBONE's pooled tunnels",
	Try: []string{"find what changed MAX_CONCURRENT_STREAMS: an EnvoyFilter, a proxy in between, or a hand-made HBONE server"},
}

// minStreams is what clients count on: ztunnel pools 100 streams on one
// connection (POOL_MAX_STREAMS_PER_CONNECTION).
const minStreams = 100

func judgeSettings(p part) []probe.Finding {
	if !p.tunnels() {
		return []probe.Finding{probe.Skipping("the endpoint is no HBONE server")}
	}
	if !p.layer.Outcome.OK() {
		return []probe.Finding{probe.Skipping("the endpoint ended it before, as expected")}
	}
	all := probe.Text(p.label("SETTINGS"), settingLines(p.layer.Settings)...).As(probe.KindSettings)
	if streams, limited := p.layer.Settings["MAX_CONCURRENT_STREAMS"]; limited && streams < minStreams {
		return []probe.Finding{probe.Failing(causeSettings,
			probe.WantGot("MAX_CONCURRENT_STREAMS", fmt.Sprintf("at least %d", minStreams), fmt.Sprint(streams)), all)}
	}
	return []probe.Finding{probe.Passing(all)}
}

func settingLines(settings map[string]uint32) []string {
	var lines []string
	for name, v := range settings {
		lines = append(lines, fmt.Sprintf("%s=%d", name, v))
	}
	slices.Sort(lines)
	return lines
}
