// SPDX-License-Identifier: Apache-2.0

package material

import (
	"crypto/x509"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// ListSigned checks that a list is that of a CA which may issue lists.
var ListSigned = probe.DefineOn(probe.Meta{
	ID:      "material/list-signed",
	Title:   "the revocation list is signed by a CA that may sign lists",
	About:   "Its issuer is among the certificates beside it or in --against, its key made the signature, and its key usage (where there is one) has cRLSign. The CAs that Istio's Makefile and istiod make lack it: no list of theirs is valid to webpki.",
	Clause:  spec.CRLSign,
	Causes:  []probe.Cause{causeListOther, causeListRight},
	Applies: "revocation lists",
}, documents(sortRevoked), judgeListSigned)

var (
	causeListOther = probe.Cause{
		Code: "crl-not-signed-by-issuer", Title: "the CA that the revocation list names did not sign it",
		Try: []string{"fetch the list from the CA whose certificate this is; is there another CA of that name?"},
	}
	causeListRight = probe.Cause{
		Code: "crl-issuer-lacks-crlsign", Title: "the CA's key usage does not allow it to sign revocation lists",
		Try: []string{"issue the CA certificate again with keyUsage keyCertSign,cRLSign"},
	}
)

func judgeListSigned(e Exam) []probe.Finding {
	given := e.given()
	var passed []probe.Evidence
	for _, l := range e.CRLs {
		list, err := l.X509()
		if err != nil {
			return []probe.Finding{probe.Skipping("the list cannot be read")}
		}
		issuer := issuerOf(list, given)
		if issuer == nil {
			for _, c := range given {
				if string(c.RawSubject) == string(list.RawIssuer) {
					return []probe.Finding{probe.Failing(causeListOther, probe.WantGot(label(l), "signed by key "+seen.ShortKey(c), "signed by another key"))}
				}
			}
			return []probe.Finding{probe.Undecided("the issuer of the list is not known: --against BUNDLE with "+seen.Name(l.Issuer), probe.Text(label(l), "issuer unknown"))}
		}
		if issuer.KeyUsage != 0 && issuer.KeyUsage&x509.KeyUsageCRLSign == 0 {
			return []probe.Finding{probe.Failing(causeListRight, probe.WantGot(subjectOf(issuer), "key usage with cRLSign", "key usage without it"))}
		}
		passed = append(passed, probe.Text(label(l), "signed by "+subjectOf(issuer)))
	}
	return []probe.Finding{probe.Passing(passed...)}
}
