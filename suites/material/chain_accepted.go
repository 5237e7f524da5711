// SPDX-License-Identifier: Apache-2.0

package material

import (
	"fmt"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// ChainAccepted asks Envoy, ztunnel and istiod, each by its own rules, whether
// they would accept the chain.
var ChainAccepted = probe.DefineOn(probe.Meta{
	ID:      "material/chain-accepted",
	Title:   "Envoy, ztunnel and istiod accept the chain",
	About:   "The chain is verified against the bundle of --against (of a proxy's dump: against the roots of that proxy) by the rules of each verifier of a mesh: Envoy's BoringSSL, ztunnel's rustls-webpki, istiod's crypto/x509, with the trust domain and the identity that each of them checks. What OpenSSL says is told beside it and decides nothing. Where the first certificate is a CA's, a leaf that it would issue is judged. Without a bundle nothing is called trusted: the verdict is partial.",
	Clause:  spec.X509PathValidation,
	Causes:  accepted(),
	Applies: "chains",
}, documents(sortChain), judgeChainAccepted)

func judgeChainAccepted(e Exam) []probe.Finding {
	presented := e.presented()
	parsed, err := presented.Parse()
	if err != nil {
		return []probe.Finding{probe.Failing(chain(verdict.Unparsable.Code), probe.Text("crypto/x509", err.Error()))}
	}
	against := e.Question.Against
	if against == nil {
		return []probe.Finding{probe.Undecided("nothing is trusted without a bundle: --against BUNDLE", probe.Text("what is needed", needed(presented)))}
	}
	return []probe.Finding{asked(parsed, against.Roots, e.Question).finding(accepted(),
		probe.Text("by the trust anchors of", against.Source))}
}

// needed says which root would have to be trusted for a chain to verify.
func needed(c seen.Certs) string {
	parsed := c.Parsed()
	if len(parsed) == 0 {
		return "unknown"
	}
	top := parsed[0]
	for range parsed {
		for _, c := range parsed {
			if c != top && !verifier.SelfSigned(top) && verifier.Signed(top, c) {
				top = c
				break
			}
		}
	}
	if verifier.SelfSigned(top) {
		return fmt.Sprintf("root %s, key %s", seen.Name(top.Subject.String()), seen.ShortKey(top))
	}
	if len(top.AuthorityKeyId) > 0 {
		return fmt.Sprintf("root %s, key identifier %.16s", seen.Name(top.Issuer.String()), fmt.Sprintf("%x", top.AuthorityKeyId))
	}
	return "root " + seen.Name(top.Issuer.String())
}
