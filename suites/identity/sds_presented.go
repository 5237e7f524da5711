// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// SDSPresented checks that what answers for a workload is its own sidecar: the
// wire shows the chain that the sidecar holds, byte for byte.
var SDSPresented = probe.DefineOn(probe.Meta{
	ID:      "identity/sds-presented",
	Title:   "a sidecar presents the certificate that it holds",
	About:   "The chain on the wire equals the secret default of the sidecar (config_dump), certificate by certificate. Another one means that something else ends the connection, or that the sidecar serves with another secret.",
	Clause:  spec.IstioProxyPresents,
	Causes:  []probe.Cause{causeOtherPresented},
	After:   []string{"ca/istiod-serves-cacerts", "trust/root-configmap", "identity/sds-delivered"},
	Applies: "sidecars",
}, seen.HeldSecrets(), judgeSDSPresented)

var causeOtherPresented = probe.Cause{
	Code: "tls-terminated-in-middle", Title: "what answers for the workload is not its sidecar, or a sidecar that serves with another certificate",
	Try: []string{
		"istioctl --context {{.Cluster}} -n {{.Namespace}} proxy-config secret deployment/{{.Name}}    # compare with the chain presented",
		"kubectl --context {{.Cluster}} get envoyfilters,sidecars -A    # does one give the listener other TLS settings?",
		"or look for a proxy or firewall that inspects TLS in between",
	},
}

func judgeSDSPresented(o seen.Secrets) []probe.Finding {
	chain, f := held(o, seen.ProxyCertificate)
	switch {
	case len(chain) == 0:
		return []probe.Finding{f}
	case o.TooFar != nil:
		return []probe.Finding{probe.OutOfReach(o.TooFar)}
	case o.Handshake == nil:
		return []probe.Finding{probe.Skipping("the workload serves nothing over mutual TLS")}
	case len(o.Handshake.Chain) == 0:
		return []probe.Finding{probe.Skipping("no certificate was seen on the wire, which is judged elsewhere: " + o.Handshake.Said())}
	case chain.Equal(o.Handshake.Chain):
		return []probe.Finding{probe.Passing(seen.ChainEvidence("held and presented by "+o.Workload.String(), chain, o.At))}
	}
	return []probe.Finding{probe.Failing(causeOtherPresented,
		probe.WantGot("chain presented by "+o.Workload.String(), chain.Describe(o.At), o.Handshake.Chain.Describe(o.At)).As(probe.KindChain))}
}
