// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"strings"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// UnknownSNI checks that the 15443 gateway leads nowhere for names that it
// does not know. The expected answer is a close without an alert: no filter
// chain matches.
var UnknownSNI = probe.DefineOn(probe.Meta{
	ID:      "gateway/unknown-sni",
	Title:   "the 15443 gateway closes on an unknown server name",
	About:   "The connection that was passed through is tried again with a server name of no service. It must be closed without an alert and without a certificate.",
	Clause:  spec.IstioAutoPassthroughUnknown,
	Causes:  []probe.Cause{causeAnySNI, causeAlertForUnknown},
	After:   []string{"gateway/passthrough"},
	Applies: "clusters that a sidecar edge of another network leads into",
}, seen.Passthroughs(), judgeUnknownSNI)

var (
	causeAnySNI = probe.Cause{
		Code: "ew-any-sni", Title: "the gateway answers for a server name that no service has",
		Try: []string{"kubectl --context {{.Cluster}} -n istio-system get gateways.networking.istio.io -o yaml   # is a server on 15443 not AUTO_PASSTHROUGH?"},
	}
	causeAlertForUnknown = probe.Cause{
		Code: "ew-alert-for-unknown-sni", Title: "something that terminates TLS answers unknown server names with an alert",
		Try: []string{"look for a load balancer with TLS of its own in front of the gateway of {{.Cluster}}"},
	}
)

func judgeUnknownSNI(g seen.Gateway) []probe.Finding {
	if f, blocked := way(g); blocked {
		return []probe.Finding{f}
	}
	h := g.Unknown.Handshake
	evidence := probe.WantGot("answer to "+h.SNI, "closed without an alert", h.Said())
	switch {
	case len(g.Outer.Chain) == 0 && g.PeerMTLS == cluster.Disable:
		return []probe.Finding{probe.Skipping(disabled)}
	case len(g.Outer.Chain) == 0:
		return []probe.Finding{probe.Breaking("no positive control: the known server name was not passed through either", evidence)}
	case len(h.Chain) > 0 || h.Outcome.OK():
		return []probe.Finding{probe.Failing(causeAnySNI, evidence, probe.Text("certificate presented", strings.Join(h.URIs(), " + ")))}
	case h.Outcome == seen.Closed:
		return []probe.Finding{probe.Passing(evidence)}
	case h.Outcome == seen.Refused:
		return []probe.Finding{probe.Failing(causeAlertForUnknown, evidence)}
	default:
		return []probe.Finding{probe.Breaking("neither closed nor answered", evidence)}
	}
}
