// SPDX-License-Identifier: Apache-2.0

package material

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// AcceptedAcross asks each side's verifiers about a workload of the other side.
var AcceptedAcross = probe.DefineOn(probe.Meta{
	ID:      "material/accepted-across",
	Title:   "a workload of each side is accepted by the verifiers of the other",
	About:   "For each direction, a leaf as the CA of one side issues it (or the chain that it presents, or, of a bundle, a leaf right below each root) is judged against the trust anchors of the other side by Envoy, ztunnel and istiod, with the trust domains of --trust-domain.",
	Clause:  spec.IstioMutualTLS,
	Causes:  across(),
	Applies: "pairs",
}, pairs(), judgeAcceptedAcross)

// across are the causes for which one side can be refused by the other.
func across() []probe.Cause {
	return refusals(verifier.CauseOutlives, verifier.CauseNoCertificate, verifier.CauseOversized, verifier.CauseWrongIdentity)
}

func judgeAcceptedAcross(p Pair) []probe.Finding {
	return []probe.Finding{p.accepts(p.A, p.B), p.accepts(p.B, p.A)}
}

// accepts says whether the verifiers of one side accept a workload of the other.
func (p Pair) accepts(from, to Side) probe.Finding {
	if len(to.Roots) == 0 {
		return probe.Undecided(to.Source+" holds no trust anchor", probe.Text("direction", direction(from, to)))
	}
	if len(from.shown()) == 0 {
		return probe.Undecided(from.Source+" holds neither a CA nor a chain nor a root", probe.Text("direction", direction(from, to)))
	}
	if _, err := from.shown()[0].Parse(); err != nil {
		return probe.Failing(chain(verdict.Unparsable.Code), probe.Text("crypto/x509", err.Error()), probe.Text("direction", direction(from, to)))
	}
	o := p.opinion(from, to)
	return o.finding(across(), probe.Text("direction", direction(from, to)))
}

// opinion is that of one side's verifiers on a workload of the other: of
// several roots, that on the first that is refused.
func (p Pair) opinion(from, to Side) opinion {
	q := p.Question
	if len(to.TrustDomains) > 0 {
		q.TrustDomains = to.TrustDomains
	}
	id := wouldBe(q)
	if len(from.TrustDomains) > 0 {
		id = wouldBe(Question{TrustDomains: from.TrustDomains})
	}
	var last opinion
	for _, c := range from.shown() {
		certs := c.Parsed()
		if len(certs) > 0 && signs(certs[0]) {
			last = askedOfIssuer(certs, to.Roots, q, id)
		} else {
			last = asked(certs, to.Roots, q)
		}
		if len(last.refusing()) > 0 {
			break
		}
	}
	return last
}

// shown is what a workload of the side can show: the chain below its CA, or one
// that is issued by a root itself.
func (s Side) shown() []seen.Certs {
	if len(s.Issues) > 0 {
		return []seen.Certs{s.Issues}
	}
	var out []seen.Certs
	for _, der := range s.Roots {
		out = append(out, seen.Certs{der})
	}
	return out
}

func direction(from, to Side) string { return "a workload of " + from.Source + " at " + to.Source }
