// SPDX-License-Identifier: Apache-2.0

package material

import (
	"crypto/x509"
	"encoding/asn1"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
)

// RequestNames checks that a request asks for what a workload needs, which
// matters to CAs that take the names from the request.
var RequestNames = probe.DefineOn(probe.Meta{
	ID:      "material/request-names",
	Title:   "the signing request asks for one SPIFFE ID and nothing more",
	About:   "One URI SAN, a SPIFFE ID of Istio's shape; the SAN extension critical where the subject is empty, without which some CAs (AWS Private CA) refuse; no CA flag. istiod itself takes the name from who asks and not from the request; istio-csr, and CAs behind a registration authority, take it from here.",
	Clause:  spec.X509URISAN,
	Causes:  append(chains(verifier.CauseSANShape), causeNotCritical, causeWantsCA),
	After:   []string{"material/request-signed"},
	Applies: "signing requests",
}, documents(sortRequest), judgeRequestNames)

var (
	causeNotCritical = probe.Cause{
		Code: "csr-san-not-critical-empty-subject", Title: "the subject is empty and the SAN is not critical: some CAs refuse that",
		Try: []string{"ask with the SAN extension critical: -addext 'subjectAltName=critical,URI:spiffe://…'"},
	}
	causeWantsCA = probe.Cause{
		Code: "csr-asks-for-ca", Title: "the request asks to become a CA",
		Try: []string{"for an intermediate that is right, and its SPIFFE ID has no path; for a workload, ask without basicConstraints CA:TRUE"},
	}
)

// oidSAN is id-ce-subjectAltName, RFC 5280 §4.2.1.6.
var oidSAN = asn1.ObjectIdentifier{2, 5, 29, 17}

func judgeRequestNames(e Exam) []probe.Finding {
	if e.Request == nil || e.Request.Error != "" {
		return []probe.Finding{probe.Skipping("the request cannot be read")}
	}
	r := e.Request
	names := probe.WantGot("URI SANs of the request", "one, of the form spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT", named(r.URIs))
	switch {
	case r.CA:
		return []probe.Finding{e.Question.worse(causeWantsCA, probe.WantGot("basic constraints of the request", "none, or CA:FALSE", "CA:TRUE"))}
	case len(r.URIs) != 1 || !istioShaped(r.URIs[0]):
		return []probe.Finding{e.Question.worse(chain(verifier.CauseSANShape), names)}
	case r.Subject == "" && !sanCritical(r.DER):
		return []probe.Finding{e.Question.worse(causeNotCritical, probe.WantGot("SAN extension of the request", "critical, as the subject is empty", "not critical"))}
	}
	return []probe.Finding{probe.Passing(names)}
}

// istioShaped says whether a text is a SPIFFE ID with Istio's path.
func istioShaped(id string) bool {
	parsed, err := spiffeid.FromString(id)
	if err != nil {
		return false
	}
	s := strings.Split(parsed.Path(), "/")
	return len(s) == 5 && s[1] == "ns" && s[3] == "sa"
}

func sanCritical(der []byte) bool {
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return false
	}
	for _, ext := range csr.Extensions {
		if ext.Id.Equal(oidSAN) {
			return ext.Critical
		}
	}
	return false
}
