// SPDX-License-Identifier: Apache-2.0

package material

import (
	"crypto/x509"
	"slices"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// IssuedAccepted asks the verifiers of a mesh about a workload of this CA
// before there is one.
var IssuedAccepted = probe.DefineOn(probe.Meta{
	ID:      "material/issued-accepted",
	Title:   "a workload of this CA is accepted by Envoy, ztunnel and istiod",
	About:   "A leaf as istiod issues it, under ca-cert.pem and followed by cert-chain.pem, is judged by each verifier of a mesh against root-cert.pem, or against the bundle of --against, which stands for another cluster. That istiod starts with a CA says nothing of it: Go overlooks what BoringSSL and webpki mind.",
	Clause:  spec.IstioMutualTLS,
	Causes:  issuable(),
	After:   []string{"ca/cacerts-complete", "material/istiod-starts"},
	Applies: "CAs of an istiod",
}, documents(sortCA), judgeIssuedAccepted)

func judgeIssuedAccepted(e Exam) []probe.Finding {
	trust := e.anchors()
	if _, err := certs(e.CACert).Parse(); err != nil {
		return []probe.Finding{probe.Failing(chain(verdict.Unparsable.Code), probe.Text("ca-cert.pem", err.Error()))}
	}
	return []probe.Finding{e.issuedOpinion().finding(issuable(),
		probe.Text("by the trust anchors of", trust.Source))}
}

// issuable are the causes for which a whole CA can be refused: what is wrong with
// a leaf alone is not among them.
func issuable() []probe.Cause {
	return refusals(verifier.CauseOutlives, verifier.CauseNoCertificate, verifier.CauseOversized, verifier.CauseLeafExpired,
		verifier.CauseLeafIsCA, verifier.CauseKeyUsage, verifier.CauseSANShape, verifier.CauseTrustDomainSidecar,
		verifier.CauseTrustDomainAmbient, verifier.CauseWrongIdentity, verifier.CauseIntermediateUnsent)
}

// issuedOpinion is that of the verifiers on a workload of this CA.
func (e Exam) issuedOpinion() opinion {
	return askedOfIssuer(e.issuing(), e.anchors().Roots, e.Question, wouldBe(e.Question))
}

// anchors are those of --against, else the document's own.
func (e Exam) anchors() Trust {
	if e.Question.Against != nil {
		return *e.Question.Against
	}
	return Trust{Source: "root-cert.pem", Roots: e.trusted()}
}

// issuing is the chain that istiod sends below each leaf: cert-chain.pem as it
// stands, which should begin with ca-cert.pem.
func (e Exam) issuing() []*x509.Certificate {
	signer, rest := certs(e.CACert).Parsed(), e.presented().Parsed()
	if len(signer) == 0 {
		return rest
	}
	if slices.ContainsFunc(rest, signer[0].Equal) || len(rest) == 0 {
		// A root that signs by itself may do without a chain.
		rest = slices.DeleteFunc(rest, signer[0].Equal)
		return append(signer[:1], rest...)
	}
	return append(signer[:1], rest...)
}
