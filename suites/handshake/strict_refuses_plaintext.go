// SPDX-License-Identifier: Apache-2.0

package handshake

import (
	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// StrictRefusesPlaintext checks that STRICT means it. The expected refusal is
// a close without any byte: there is no filter chain for plaintext.
var StrictRefusesPlaintext = probe.DefineOn(probe.Meta{
	ID:      "handshake/strict-refuses-plaintext",
	Title:   "a STRICT sidecar closes plaintext unanswered",
	About:   "A plaintext HTTP request goes to the workload's port. In STRICT mode the connection must be closed without a byte in answer; the accepted mutual TLS of the same listener is the control.",
	Clause:  spec.IstioStrict,
	Causes:  []probe.Cause{causePermissive},
	After:   []string{"handshake/local-mtls"},
	Applies: "sidecar workloads",
}, seen.SidecarListeners(), inMode(cluster.Strict, judgeStrict))

var causePermissive = probe.Cause{
	Code: "permissive-when-strict", Title: "plaintext is answered although the policy is STRICT",
	Try: []string{
		"istioctl --context {{.Cluster}} proxy-status    # STALE: the sidecar lost its control plane and goes on with what it was told before",
		"kubectl --context {{.Cluster}} -n {{.Namespace}} rollout restart deployment",
		"kubectl --context {{.Cluster}} -n {{.Namespace}} get pods -o jsonpath='{range .items[*]}{.metadata.name}: {.metadata.annotations}{\"\\n\"}{end}' | grep excludeInbound",
	},
}

func judgeStrict(l seen.Listener) []probe.Finding {
	evidence := plainEvidence(l, "closed without an answer")
	switch {
	case l.Plain.Outcome == seen.Accepted:
		return []probe.Finding{probe.Failing(causePermissive, evidence)}
	case !l.Good.Outcome.OK():
		return []probe.Finding{probe.Breaking("no positive control: mutual TLS is not accepted either", evidence)}
	case l.Plain.Outcome == seen.Closed:
		return []probe.Finding{probe.Passing(evidence)}
	default:
		return []probe.Finding{probe.Breaking("neither answered nor closed", evidence)}
	}
}
