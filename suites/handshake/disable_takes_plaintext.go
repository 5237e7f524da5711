// SPDX-License-Identifier: Apache-2.0

package handshake

import (
	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// DisableTakesPlaintext checks that a sidecar in DISABLE mode serves plaintext
// and no mesh TLS.
var DisableTakesPlaintext = probe.DefineOn(probe.Meta{
	ID:      "handshake/disable-takes-plaintext",
	Title:   "a sidecar with mutual TLS disabled takes plaintext only",
	About:   "With mode DISABLE a plaintext request is answered, and a mesh client's TLS finds no mesh identity.",
	Clause:  spec.IstioDisable,
	Causes:  []probe.Cause{causeNotDisabled},
	After:   []string{"ca/istiod-serves-cacerts", "trust/root-configmap"},
	Applies: "sidecar workloads",
}, seen.SidecarListeners(), inMode(cluster.Disable, judgeDisable))

var causeNotDisabled = probe.Cause{
	Code: "mtls-not-disabled", Title: "the sidecar does not behave as the policy DISABLE says",
	Try: []string{"kubectl --context {{.Cluster}} get peerauthentication -A   # which policy is in force?"},
}

func judgeDisable(l seen.Listener) []probe.Finding {
	evidence := plainEvidence(l, "answered")
	switch {
	case l.Good.Spiffe():
		return []probe.Finding{probe.Failing(causeNotDisabled,
			probe.WantGot("mutual TLS at "+l.Good.Address, "not offered", l.Good.Said()), evidence)}
	case l.Plain.Outcome == seen.Accepted:
		return []probe.Finding{probe.Passing(evidence)}
	case l.Plain.Outcome == seen.Closed:
		return []probe.Finding{probe.Failing(causeNotDisabled, evidence)}
	default:
		return []probe.Finding{probe.Breaking("neither answered nor closed", evidence)}
	}
}
