// SPDX-License-Identifier: Apache-2.0

package handshake

import (
	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// PermissiveTakesBoth checks that PERMISSIVE answers plaintext beside mutual
// TLS.
var PermissiveTakesBoth = probe.DefineOn(probe.Meta{
	ID:      "handshake/permissive-takes-both",
	Title:   "a PERMISSIVE sidecar takes mutual TLS and plaintext",
	About:   "A plaintext HTTP request goes to the workload's port. In PERMISSIVE mode it is answered, as mutual TLS is.",
	Clause:  spec.IstioPermissive,
	Causes:  []probe.Cause{causeStrict},
	After:   []string{"handshake/local-mtls"},
	Applies: "sidecar workloads",
}, seen.SidecarListeners(), inMode(cluster.Permissive, judgePermissive))

var causeStrict = probe.Cause{
	Code: "strict-vs-plaintext", Title: "plaintext is refused although the policy is PERMISSIVE",
	Try: []string{
		"istioctl --context {{.Cluster}} proxy-status    # STALE: the sidecar lost its control plane and goes on with what it was told before",
		"kubectl --context {{.Cluster}} -n {{.Namespace}} rollout restart deployment",
		"kubectl --context {{.Cluster}} get peerauthentication -A    # or is a narrower policy STRICT?",
	},
}

func judgePermissive(l seen.Listener) []probe.Finding {
	evidence := plainEvidence(l, "answered")
	switch l.Plain.Outcome {
	case seen.Accepted:
		return []probe.Finding{probe.Passing(evidence)}
	case seen.Closed:
		return []probe.Finding{probe.Failing(causeStrict, evidence)}
	default:
		return []probe.Finding{probe.Breaking("neither answered nor closed", evidence)}
	}
}
