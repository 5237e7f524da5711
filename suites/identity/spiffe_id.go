// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"crypto/x509"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// SPIFFEID checks the shape of a workload's identity: exactly one URI SAN,
// valid as a SPIFFE ID, with Istio's path.
var SPIFFEID = probe.DefineOn(probe.Meta{
	ID:      "identity/spiffe-id",
	Title:   "a workload presents exactly one SPIFFE ID of Istio's shape",
	About:   "The leaf on the wire has one URI SAN, it is a valid SPIFFE ID (SPIFFE-ID §2), and its path is /ns/NAMESPACE/sa/SERVICE-ACCOUNT. ztunnel refuses everything else.",
	Clause:  spec.X509URISAN,
	Causes:  cause.Chains(verifier.CauseSANShape),
	After:   []string{"ca/istiod-serves-cacerts", "trust/root-configmap"},
	Applies: "mesh workloads that serve a port or take HBONE",
}, seen.Presented(), renewed(judgeSPIFFEID))

func judgeSPIFFEID(o seen.Workload) []probe.Finding {
	leaf, f := leafOf(o)
	if leaf == nil {
		return []probe.Finding{f}
	}
	evidence := probe.WantGot("URI SANs of "+o.Workload.String(),
		"one, of the form spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT", listed(o.Handshake.URIs()))
	if problem := shapeProblem(leaf); problem != "" {
		return []probe.Finding{probe.Failing(cause.Chain(verifier.CauseSANShape), evidence, probe.Text("rule", problem))}
	}
	return []probe.Finding{probe.Passing(evidence)}
}

// leafOf is the leaf that a workload presented, or the finding that there is
// none to judge.
func leafOf(o seen.Workload) (*x509.Certificate, probe.Finding) {
	if leaf := o.Handshake.Chain.Leaf(); leaf != nil {
		return leaf, probe.Finding{}
	}
	reason := "no certificate was seen: " + o.Handshake.Said()
	if o.Control != "" {
		reason = "nothing can be reached in " + o.Workload.Cluster + ": " + o.Control
	}
	return nil, probe.Breaking(reason)
}

func listed(ids []string) string {
	if len(ids) == 0 {
		return "none"
	}
	return strings.Join(ids, "\n")
}

// shapeProblem names the first rule that the leaf's SANs break, empty where
// none is broken.
func shapeProblem(leaf *x509.Certificate) string {
	if n := len(leaf.URIs); n != 1 {
		return spec.X509URISAN.String() + ": " + spec.X509URISAN.Quote
	}
	id, err := spiffeid.FromURI(leaf.URIs[0])
	if err != nil {
		return spec.SPIFFEIDForm.String() + ": " + err.Error()
	}
	if s := strings.Split(id.Path(), "/"); len(s) != 5 || s[1] != "ns" || s[3] != "sa" {
		return spec.IstioIdentityPath.String() + ": " + spec.IstioIdentityPath.Quote
	}
	return ""
}
