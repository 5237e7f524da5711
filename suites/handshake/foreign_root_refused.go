// SPDX-License-Identifier: Apache-2.0

package handshake

import (
	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// ForeignRootRefused checks that the server verifies the client certificate
// that it asks for: the right name under an unknown root is refused, because
// the root is unknown.
var ForeignRootRefused = probe.DefineOn(probe.Meta{
	ID:      "handshake/foreign-root-refused",
	Title:   "a sidecar refuses the right name under a foreign root",
	About:   "A client shows the SPIFFE ID that is accepted otherwise, signed by a root made for this purpose. Envoy, Go and OpenSSL answer unknown_ca; any other reason would prove nothing.",
	Clause:  spec.IstioRejectForeignRoot,
	Causes:  []probe.Cause{causeForeignAccepted, verdict.WrongReason},
	After:   []string{"handshake/local-mtls", "handshake/client-cert-required"},
	Applies: "sidecar workloads",
}, seen.SidecarListeners(), judgeForeignRootRefused)

var causeForeignAccepted = probe.Cause{
	Code: "client-cert-not-verified", Title: "the server accepts client certificates of any root: names prove nothing there",
	Try: []string{
		"istioctl --context {{.Cluster}} proxy-config listeners deployment/{{.Name}} -n {{.Namespace}} --port 15006 -o json   # the inbound validation context must name ROOTCA",
		"istioctl --context {{.Cluster}} proxy-config secret deployment/{{.Name}} -n {{.Namespace}}",
	},
}

func judgeForeignRootRefused(l seen.Listener) []probe.Finding {
	if l.Workload.MTLS == cluster.Disable {
		return []probe.Finding{probe.Skipping("mutual TLS is disabled for the workload")}
	}
	return []probe.Finding{verdict.Refusal("client under a foreign root", l.Foreign, l.Good.Handshake, []string{"unknown_ca"}, causeForeignAccepted)}
}
