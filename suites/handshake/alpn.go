// SPDX-License-Identifier: Apache-2.0

package handshake

import (
	"fmt"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// ALPN checks that Istio's ALPN selects the filter chain with mutual TLS. A
// PERMISSIVE sidecar hands a client without it to the application.
var ALPN = probe.DefineOn(probe.Meta{
	ID:      "handshake/alpn",
	Title:   "the Istio ALPN leads to the sidecar's mutual TLS",
	About:   "The client offers the ALPN istio. The chain that answers must be the workload's mesh identity, not the application's own certificate. The negotiated protocol may be empty: Istio uses the names to select the chain only.",
	Clause:  spec.IstioSidecarALPN,
	Causes:  []probe.Cause{causeWrongChain},
	After:   []string{"handshake/local-mtls"},
	Applies: "sidecar workloads",
}, seen.SidecarListeners(), judgeALPN)

var causeWrongChain = probe.Cause{
	Code: "permissive-wrong-alpn", Title: "the connection reached the application's own TLS instead of the sidecar's",
	Try: []string{"istioctl --context {{.Cluster}} proxy-config listeners deployment/{{.Name}} -n {{.Namespace}} --port 15006   # which filter chain matches ALPN istio?"},
}

func judgeALPN(l seen.Listener) []probe.Finding {
	if l.Workload.MTLS == cluster.Disable {
		return []probe.Finding{probe.Skipping("mutual TLS is disabled for the workload")}
	}
	h := l.Good.Handshake
	alpn := probe.Text("ALPN", fmt.Sprintf("offered %s, negotiated %q", strings.Join(h.Offered, ","), h.ALPN))
	if len(h.Chain) == 0 {
		return []probe.Finding{probe.Breaking("no chain was seen", probe.Text("handshake", h.Said()))}
	}
	if !h.Spiffe() {
		return []probe.Finding{probe.Failing(causeWrongChain,
			probe.WantGot("identity at "+h.Address, "a SPIFFE ID", strings.Join(h.URIs(), " + ")+" (none)"), alpn,
			seen.ChainEvidence("chain presented", h.Chain, l.At))}
	}
	return []probe.Finding{probe.Passing(alpn)}
}
