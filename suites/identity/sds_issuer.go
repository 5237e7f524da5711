// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// SDSIssuer is CurrentCA for every sidecar, also one whose workload serves
// nothing and so presents its certificate to no client.
var SDSIssuer = probe.DefineOn(probe.Meta{
	ID:      "identity/sds-issuer",
	Title:   "the certificate that a sidecar holds was issued by the cluster's current CA",
	About:   "The secret default of the sidecar (config_dump) is checked against ca-cert.pem in force, also where the workload serves no port, and those of up to four further pods of the workload. An older one is Pending until half of its life is over, and a failure where its root is not trusted any more.",
	Clause:  spec.IstioLeafTrusted,
	Causes:  []probe.Cause{causeStaleLeaf},
	After:   []string{"ca/istiod-serves-cacerts", "trust/root-configmap", "identity/current-ca"},
	Applies: "sidecars",
}, seen.HeldSecrets(), judgeSDSIssuer)

func judgeSDSIssuer(o seen.Secrets) []probe.Finding { return ofEachPod(o, issuerInPod) }

func issuerInPod(pod string, o seen.Secrets) probe.Finding {
	chain, f := held(o, seen.ProxyCertificate)
	if len(chain) == 0 {
		return f
	}
	if chain.Leaf() == nil {
		return probe.Breaking("the certificate that the sidecar holds cannot be read")
	}
	signer := o.Signer.Leaf()
	if signer == nil {
		return probe.Skipping("the cluster's CA certificate is not known")
	}
	if verifier.Signed(chain.Leaf(), signer) {
		return probe.Passing(probe.Text("issued by", seen.Describe(signer, o.At)))
	}
	view := seen.Workload{At: o.At, Workload: o.Workload, Roots: o.Roots, Handshake: seen.Handshake{Chain: chain}}
	return staleLeaf(view, chain.Leaf(), signer, "chain held by "+pod)
}
