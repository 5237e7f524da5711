// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"cmp"
	"fmt"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// UnknownAuthority checks that the ambient gateway opens no tunnel to a
// service that it does not know. Envoy answers 503 or 404, or 200 and then
// resets the stream; both are refusals.
var UnknownAuthority = probe.DefineOn(probe.Meta{
	ID:      "gateway/unknown-authority",
	Title:   "the ambient gateway opens no tunnel to an unknown service",
	About:   "Over the accepted outer connection a CONNECT names a host that no service has. Envoy 1.40 under istiod 1.31 answers 503, or 200 followed by RST_STREAM as soon as data flows.",
	Clause:  spec.HBONEDoubleAuthority,
	Causes:  []probe.Cause{causeAnyAuthority},
	After:   []string{"gateway/hbone"},
	Applies: "clusters that an ambient edge of another network leads into",
}, seen.HBONEGateways(), judgeUnknownAuthority)

var causeAnyAuthority = probe.Cause{
	Code: "ew-any-authority", Title: "the ambient gateway opens tunnels to names that no service has",
	Try: []string{"kubectl --context {{.Cluster}} -n istio-system get gateways.gateway.networking.k8s.io,envoyfilters -o yaml   # what added a catch-all route?"},
}

func judgeUnknownAuthority(g seen.Gateway) []probe.Finding {
	if f, blocked := way(g); blocked {
		return []probe.Finding{f}
	}
	if g.Outer.Outcome != seen.Accepted {
		return []probe.Finding{probe.Skipping("no positive control: the gateway does not admit the caller, which is judged per edge")}
	}
	if g.Outer.Status != 200 {
		return []probe.Finding{probe.Skipping(fmt.Sprintf("no positive control: a known service was answered %d, which is judged per edge", g.Outer.Status))}
	}
	u := g.Unknown
	want := "404 or 503, or 200 and then a reset"
	switch {
	case u.Status == 404 || u.Status == 503:
		return []probe.Finding{probe.Passing(probe.WantGot("CONNECT "+u.Authority, want, fmt.Sprint(u.Status)))}
	case u.Status == 200 && answers(g.Tunneled):
		return []probe.Finding{probe.Failing(causeAnyAuthority, probe.WantGot("CONNECT "+u.Authority, want, "200, and a peer that answers an inner handshake: "+g.Tunneled.Said()))}
	case u.Status == 200 && g.Tunneled.Reset == "" && g.Tunneled.Outcome != seen.Closed:
		return []probe.Finding{probe.Breaking("200, and then neither a peer nor a reset", probe.Text("inner handshake", g.Tunneled.Said()))}
	case u.Status == 200:
		return []probe.Finding{probe.Passing(probe.WantGot("CONNECT "+u.Authority, want, "200, and nothing behind it: "+cmp.Or(g.Tunneled.Reset, "closed")))}
	case u.Reset != "":
		return []probe.Finding{probe.Passing(probe.WantGot("CONNECT "+u.Authority, want, "reset with "+u.Reset))}
	default:
		return []probe.Finding{probe.Breaking("no answer to the CONNECT", probe.Text("status", fmt.Sprint(u.Status)), probe.Text("error", u.Error))}
	}
}

// answers says that somebody ends the inner handshake, with or without success:
// a refusal by alert comes from a peer too.
func answers(inner seen.Layer) bool {
	return inner.Outcome.OK() || inner.Outcome == seen.Refused || len(inner.Chain) > 0
}
