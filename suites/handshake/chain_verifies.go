// SPDX-License-Identifier: Apache-2.0

package handshake

import (
	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// ChainVerifies judges the chain that the destination sent against the trust
// bundle of the caller's cluster, as it was sent.
var ChainVerifies = probe.DefineOn(probe.Meta{
	ID:      "handshake/chain-verifies",
	Title:   "the destination's chain verifies against the caller's roots",
	About:   "The certificates on the wire, in their order and with nothing added, are verified against istio-ca-root-cert of the caller's cluster, as Envoy, ztunnel, Go and OpenSSL would.",
	Clause:  spec.X509PathValidation,
	Causes:  verdict.ChainCauses(cluster.Sidecar),
	After:   []string{"handshake/sidecar-mtls", "trust/shared-root", "identity/current-ca", "identity/not-expired"},
	Applies: "sidecar edges",
}, seen.SidecarEdges(), judgeChainVerifies)

func judgeChainVerifies(e seen.Edge) []probe.Finding {
	h := e.Outer.Handshake
	if len(h.Chain) == 0 {
		return []probe.Finding{probe.Breaking("no chain was seen", probe.Text("handshake", h.Said()))}
	}
	return []probe.Finding{verdict.Chain(verdict.Question{
		Label: "chain that " + e.Edge.To.Cluster + " presents", Chain: h.Chain, Roots: e.ClientRoots, At: e.At,
		Role: verifier.Server, TrustDomains: append(append([]string{}, e.ClientTrust...), e.ServerTrust...), By: cluster.Sidecar,
	})}
}
