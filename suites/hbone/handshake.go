// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"fmt"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// Handshake is the positive control of the suite: HBONE of a workload accepts
// a client of its own cluster, over TLS 1.3 with ALPN h2.
var Handshake = probe.DefineOn(probe.Meta{
	ID:      "hbone/handshake",
	Title:   "a workload accepts HBONE of its own cluster over TLS 1.3 and h2",
	About:   "A client with an SVID of the same cluster opens mutual TLS to port 15008, without SNI, as a ztunnel does, and waits for SETTINGS: only they prove that the certificate was accepted.",
	Clause:  spec.HBONETLSProfile,
	Causes:  append([]probe.Cause{causeNotServing, causeProfile, cause.NotAsked}, verdict.ClientCauses(cluster.Ambient)...),
	After:   []string{"ca/istiod-serves-cacerts", "trust/root-configmap", "trust/trust-domain", "identity/current-ca", "identity/not-expired"},
	Applies: "ambient workloads",
}, seen.AmbientListeners(), renewed(judgeHandshake))

var (
	causeNotServing = probe.Cause{
		Code: "hbone-not-serving", Title: "nothing speaks HBONE on port 15008 of the workload",
		Try: []string{
			"kubectl --context {{.Cluster}} get namespace {{.Namespace}} -o jsonpath='{.metadata.labels}'   # istio.io/dataplane-mode=ambient",
			"istioctl --context {{.Cluster}} ztunnel-config workloads --workload-namespace {{.Namespace}}",
		},
	}
	causeProfile = probe.Cause{
		Code: "hbone-tls-profile", Title: "the listener speaks another TLS version or protocol than HBONE",
		Try: []string{"find out what listens there: meshprobe explain {{.ID}}; a load balancer in between must pass TCP through with ALPN h2 intact"},
	}
)

func judgeHandshake(l seen.Listener) []probe.Finding {
	h := l.Good.Handshake
	got := probe.WantGot("HBONE from "+l.Source.String(), "SETTINGS over TLS 1.3 with ALPN h2", h.Said()).As(probe.KindAlert)
	switch {
	case h.Outcome == seen.Refused:
		return []probe.Finding{verdict.RefusedBy(verdict.Question{
			Label: "chain that " + l.Source.String() + " presents", Chain: l.Good.Client, Roots: l.Roots, At: l.At,
			TrustDomains: l.Trust, By: cluster.Ambient,
		}, got)}
	case len(h.Chain) > 0 && (h.Version != "TLS 1.3" || h.ALPN != "h2"):
		return []probe.Finding{probe.Failing(causeProfile, probe.WantGot("profile at "+h.Address, "TLS 1.3, h2", fmt.Sprintf("%s, %q", h.Version, h.ALPN)), got)}
	case !h.Outcome.OK():
		return []probe.Finding{probe.Failing(causeNotServing, got)}
	case !h.Asked:
		return []probe.Finding{probe.Failing(cause.NotAsked, probe.WantGot("CertificateRequest of "+l.Workload.String(), "sent", "not sent"), got)}
	default:
		return []probe.Finding{probe.Passing(got)}
	}
}
