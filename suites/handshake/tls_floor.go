// SPDX-License-Identifier: Apache-2.0

package handshake

import (
	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// TLSFloor checks that a sidecar refuses TLS below 1.2.
var TLSFloor = probe.DefineOn(probe.Meta{
	ID:      "handshake/tls-floor",
	Title:   "a sidecar refuses TLS older than 1.2",
	About:   "The accepted client tries again with TLS 1.1 at most. The answer must be protocol_version.",
	Clause:  spec.IstioTLSFloor,
	Causes:  []probe.Cause{causeOldTLS, verdict.WrongReason},
	After:   []string{"handshake/local-mtls"},
	Applies: "sidecar workloads",
}, seen.SidecarListeners(), judgeTLSFloor)

var causeOldTLS = probe.Cause{
	Code: "tls-version-floor", Title: "the sidecar takes TLS versions that Istio rules out",
	Try: []string{"kubectl --context {{.Cluster}} -n istio-system get configmap istio -o yaml   # meshMTLS.minProtocolVersion, EnvoyFilters that change it: kubectl get envoyfilters -A"},
}

func judgeTLSFloor(l seen.Listener) []probe.Finding {
	if l.Workload.MTLS == cluster.Disable {
		return []probe.Finding{probe.Skipping("mutual TLS is disabled for the workload")}
	}
	return []probe.Finding{verdict.Refusal("client with TLS 1.1 at most", l.OldTLS, l.Good.Handshake, []string{"protocol_version"}, causeOldTLS)}
}
