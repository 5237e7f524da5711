// SPDX-License-Identifier: Apache-2.0

package handshake

import (
	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// LocalMTLS is the positive control of the rejections: a sidecar accepts a
// client of its own cluster.
var LocalMTLS = probe.DefineOn(probe.Meta{
	ID:      "handshake/local-mtls",
	Title:   "a sidecar accepts a client of its own cluster",
	About:   "A client with an SVID of the same cluster opens mutual TLS to the workload's port. Whatever this shows is not a matter of federation; the rejections below rest on it.",
	Clause:  spec.IstioMutualTLS,
	Causes:  append([]probe.Cause{causeNotServing}, verdict.ClientCauses(cluster.Sidecar)...),
	After:   []string{"ca/istiod-serves-cacerts", "trust/root-configmap", "trust/trust-domain", "identity/current-ca", "identity/not-expired"},
	Applies: "sidecar workloads",
}, seen.SidecarListeners(), judgeLocalMTLS)

var causeNotServing = probe.Cause{
	Code: "sidecar-not-serving", Title: "the workload's sidecar does not answer with mutual TLS",
	Try: []string{
		"kubectl --context {{.Cluster}} -n {{.Namespace}} get pods   # is istio-proxy there and ready?",
		"istioctl --context {{.Cluster}} proxy-status",
	},
}

func judgeLocalMTLS(l seen.Listener) []probe.Finding {
	if l.Workload.MTLS == cluster.Disable {
		return []probe.Finding{probe.Skipping("mutual TLS is disabled for the workload")}
	}
	h := l.Good.Handshake
	got := probe.WantGot("handshake from "+l.Source.String(), "accepted, proved by a read after it", h.Said()).As(probe.KindAlert)
	switch h.Outcome {
	case seen.Accepted, seen.NotRefused:
		return []probe.Finding{probe.Passing(got)}
	case seen.Refused:
		return []probe.Finding{verdict.RefusedBy(verdict.Question{
			Label: "chain that " + l.Source.String() + " presents", Chain: l.Good.Client, Roots: l.Roots, At: l.At,
			TrustDomains: l.Trust, By: cluster.Sidecar,
		}, got)}
	default:
		return []probe.Finding{probe.Failing(causeNotServing, got)}
	}
}
