// SPDX-License-Identifier: Apache-2.0

package material

import (
	"slices"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
)

// IstioID checks that an identity is one that a mesh accepts.
var IstioID = probe.DefineOn(probe.Meta{
	ID:      "material/istio-id",
	Title:   "the SPIFFE ID is one of an Istio workload in the trust domain",
	About:   "The path is /ns/NAMESPACE/sa/SERVICE-ACCOUNT: ztunnel takes no other, Envoy any below the trust domain. The trust domain is one of --trust-domain.",
	Clause:  spec.IstioIdentityPath,
	Causes:  append(chains(verifier.CauseTrustDomainSidecar, verifier.CauseTrustDomainAmbient), causeNotIstio),
	Applies: "SPIFFE IDs",
}, documents(sortName), judgeIstioID)

var causeNotIstio = probe.Cause{
	Code: verifier.CauseSANShape, Title: "the SPIFFE ID has not the path of an Istio workload: ztunnel refuses it",
	Try: []string{"write spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT"},
}

func judgeIstioID(e Exam) []probe.Finding {
	id, domains := e.Identity, e.Question.TrustDomains
	if id == nil {
		return []probe.Finding{probe.Skipping("it is no SPIFFE ID")}
	}
	if !id.Istio {
		return []probe.Finding{probe.Failing(causeNotIstio,
			probe.WantGot(id.ID, "spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT", "another path, which ztunnel refuses"))}
	}
	evidence := probe.WantGot("trust domain", named(domains), id.TrustDomain)
	switch i := slices.Index(domains, id.TrustDomain); {
	case i < 0 && len(domains) > 0:
		return []probe.Finding{probe.Failing(chain(verifier.CauseTrustDomainSidecar), evidence)}
	case i > 0:
		return []probe.Finding{probe.Failing(chain(verifier.CauseTrustDomainAmbient), evidence, probe.Text("an alias", "Envoy honours it, ztunnel does not"))}
	}
	return []probe.Finding{probe.Passing(evidence, probe.Text("namespace", id.Namespace), probe.Text("service account", id.ServiceAccount))}
}
