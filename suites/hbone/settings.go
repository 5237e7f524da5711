// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// Settings checks the limits that a peer announces: enough concurrent streams
// for pooled tunnels, legal frame and window sizes.
var Settings = probe.DefineOn(probe.Meta{
	ID:      "hbone/settings",
	Title:   "the peer's HTTP/2 settings allow pooled tunnels",
	About:   "The first frame is SETTINGS. ztunnel announces 200 streams and Envoy 100; fewer than 100 makes clients open more connections, none at all admits no tunnel.",
	Clause:  spec.HBONESettings,
	Causes:  []probe.Cause{causeSettings},
	After:   []string{"hbone/handshake"},
	Applies: "ambient workloads",
}, seen.AmbientListeners(), judgeSettings)

var causeSettings = probe.Cause{
	Code: "hbone-settings", Title: "the HTTP/2 settings leave no room for HBONE's pooled tunnels",
	Try: []string{"find what changed MAX_CONCURRENT_STREAMS: an EnvoyFilter, a proxy in between, or a hand-made HBONE server"},
}

// minStreams is what clients count on: ztunnel pools 100 streams on one
// connection (POOL_MAX_STREAMS_PER_CONNECTION).
const minStreams = 100

func judgeSettings(l seen.Listener) []probe.Finding {
	if l.Good.Settings == nil {
		return []probe.Finding{probe.Breaking("no SETTINGS were seen", probe.Text("handshake", l.Good.Said()))}
	}
	streams, limited := l.Good.Settings["MAX_CONCURRENT_STREAMS"]
	all := probe.Text("SETTINGS of "+l.Workload.String(), lines(l.Good.Settings)).As(probe.KindSettings)
	if limited && streams < minStreams {
		return []probe.Finding{probe.Failing(causeSettings,
			probe.WantGot("MAX_CONCURRENT_STREAMS", fmt.Sprintf("at least %d", minStreams), fmt.Sprint(streams)), all)}
	}
	return []probe.Finding{probe.Passing(all)}
}

func lines(settings map[string]uint32) string {
	out := make([]string, 0, len(settings))
	for name, v := range settings {
		out = append(out, fmt.Sprintf("%s=%d", name, v))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}
