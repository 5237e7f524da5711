// SPDX-License-Identifier: Apache-2.0

package material

import (
	"crypto/x509"
	"fmt"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// ChainOrder checks that a chain is what TLS asks for: the leaf, then each
// issuer after what it signed, and nothing else.
var ChainOrder = probe.DefineOn(probe.Meta{
	ID:      "material/chain-order",
	Title:   "each certificate is followed by the one that signed it",
	About:   "By signature, not by name. The verifiers of a mesh put a chain in order themselves, so that a wrong order breaks nothing in Istio; other TLS stacks refuse it. A certificate that belongs to no issuer of the first one is said to be extra. The same root twice does no harm.",
	Clause:  spec.TLSChainOrder,
	Causes:  []probe.Cause{causeOrder, causeExtra, causeTwice},
	Applies: "chains",
}, documents(sortChain), judgeChainOrder)

var (
	causeOrder = probe.Cause{
		Code: "chain-out-of-order", Title: "the chain holds the right certificates in the wrong order",
		Try: []string{"write the leaf first, then each issuer after what it signed"},
	}
	causeExtra = probe.Cause{
		Code: "chain-extra-certificate", Title: "the chain holds a certificate that no other one in it needs",
		Try: []string{"leave it out; has it been taken from another cluster?"},
	}
	causeTwice = probe.Cause{
		Code: "chain-duplicate-certificate", Title: "a certificate is there twice, which costs bytes and nothing else",
		Try: []string{"leave one of them out: Istio's own Makefile writes the root into cert-chain.pem, and others append it again"},
	}
)

func judgeChainOrder(e Exam) []probe.Finding {
	evidence := seen.ChainEvidence("chain", e.presented(), e.Question.At)
	certs, twice := distinct(e.presented().Parsed())
	for i, c := range certs[min(1, len(certs)):] {
		below := certs[i]
		if verifier.Signed(below, c) {
			continue
		}
		what := fmt.Sprintf("%s, key %s", seen.Subject(c), seen.ShortKey(c))
		if related(c, certs) {
			return []probe.Finding{probe.Failing(causeOrder, probe.WantGot("certificate after "+seen.Subject(below), "the one that signed it", what))}
		}
		return []probe.Finding{probe.Failing(causeExtra, probe.WantGot("certificate after "+seen.Subject(below), "the one that signed it, or none", what))}
	}
	if twice != nil {
		return []probe.Finding{probe.Noting(causeTwice, probe.Text("twice", seen.Subject(twice)))}
	}
	return []probe.Finding{probe.Passing(evidence)}
}

// distinct drops repetitions, and names one of them.
func distinct(certs []*x509.Certificate) (once []*x509.Certificate, twice *x509.Certificate) {
	for _, c := range certs {
		if holds(once, c) {
			twice = c
			continue
		}
		once = append(once, c)
	}
	return once, twice
}

func holds(certs []*x509.Certificate, c *x509.Certificate) bool {
	for _, o := range certs {
		if o.Equal(c) {
			return true
		}
	}
	return false
}

// related says whether c signed another certificate, or leads down to it.
func related(c *x509.Certificate, certs []*x509.Certificate) bool {
	for _, o := range certs {
		if o != c && verifier.Signed(o, c) {
			return true
		}
	}
	return false
}
