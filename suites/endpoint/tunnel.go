// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"fmt"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// Tunnel checks that an open tunnel carries bytes and is not cut.
var Tunnel = probe.DefineOn(probe.Meta{
	ID:      "endpoint/tunnel",
	Title:   "the tunnel stays open and carries bytes",
	About:   "What went through the innermost tunnel after its 200, and how it ended. An application that says nothing is fine; a tunnel that is reset or cut right after its 200 is not: a policy, a dead application, or a server that answers before it has reached anything. Neither is one that is cut after some bytes: what came may be a part of what was sent. Only the application's own reset (CONNECT_ERROR) and a server that goes away in order (GOAWAY NO_ERROR) are notes then.",
	Clause:  spec.HTTP2ConnectAnswer,
	Causes:  []probe.Cause{causeTunnelCut},
	After:   []string{"endpoint/connect", "endpoint/inner-connect"},
	Applies: "HBONE endpoints",
}, met(), judgeTunnel)

var causeTunnelCut = probe.Cause{
	Code: "tunnel-cut", Title: "the tunnel was cut before it was over",
	Try: []string{
		"kubectl --context CONTEXT -n {{.Namespace}} get pods,authorizationpolicies   # does the application listen on that port? does a policy deny late?",
		"CONNECT_ERROR: the application reset its connection, look at its log; INTERNAL_ERROR, PROTOCOL_ERROR or no code at all: look at that of the ztunnel, waypoint or gateway",
		"an HBONE server that answers 200 before it has dialed (Istio's own test server does) looks like this where the application is dead",
	},
}

func judgeTunnel(m Met) []probe.Finding {
	if m.Tunnel == nil {
		return []probe.Finding{probe.Skipping("no tunnel was opened")}
	}
	t := m.Tunnel
	carried := fmt.Sprintf("%s sent, %s received", plural(t.Sent, "byte"), plural(t.Received, "byte"))
	facts := []probe.Evidence{probe.WantGot("tunnel", "open, or ended in order", join(": ", t.Closed, t.Error)), probe.Text("bytes", carried)}
	if t.Data != "" {
		facts = append(facts, probe.Text("first bytes that came", t.Data))
	}
	code, reset := strings.CutPrefix(t.Closed, "RST_STREAM ")
	switch {
	case t.Closed == "open", t.Closed == "END_STREAM", reset && (code == "NO_ERROR" || code == "CANCEL"):
		// RFC 9113 §8.1: a server may reset with NO_ERROR what it has answered.
		return []probe.Finding{probe.Passing(facts...)}
	case t.Received > 0 && excusable(t.Closed):
		return []probe.Finding{m.at(probe.Noting(causeTunnelCut, facts[0], facts[1:]...), m.Last())}
	default:
		return []probe.Finding{m.at(probe.Failing(causeTunnelCut, facts[0], facts[1:]...), m.Last())}
	}
}

// excusable says that a tunnel which carried bytes was cut for a reason that is
// not the tunnel's: the application's connection failed (RFC 9113 §8.5), or the
// server drains.
func excusable(closed string) bool {
	return closed == "RST_STREAM CONNECT_ERROR" || closed == "GOAWAY NO_ERROR"
}
