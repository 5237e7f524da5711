// SPDX-License-Identifier: Apache-2.0

package material

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// ListsComplete checks that where there are lists, there is one of every CA.
var ListsComplete = probe.DefineOn(probe.Meta{
	ID:      "material/lists-complete",
	Title:   "ca-crl.pem holds a list of every CA in cacerts",
	About:   "Envoy asks for a list of every CA of a chain as soon as it has any (CRL_CHECK_ALL): with one missing it refuses everything. istiod says \"missing CRL signed by certificates\" and takes no new CA either until that is mended. ztunnel accepts what no list tells of.",
	Clause:  spec.IstioCRL,
	Causes:  []probe.Cause{causeListsMissing},
	Applies: "CAs with revocation lists",
}, documents(sortCRLs), judgeListsComplete)

var causeListsMissing = probe.Cause{
	Code: "crl-incomplete", Title: "a CA of the chain has no revocation list, so Envoy refuses every certificate below it",
	Try: []string{"write one list of each CA of the chain, the root's included, into ca-crl.pem, or leave ca-crl.pem out"},
}

func judgeListsComplete(e Exam) []probe.Finding {
	var passed []probe.Evidence
	once, _ := distinct(e.own().Parsed())
	for _, c := range once {
		if !c.IsCA {
			continue
		}
		found := false
		for _, l := range e.CRLs {
			if list, err := l.X509(); err == nil && string(list.RawIssuer) == string(c.RawSubject) && signedList(list, c) {
				found = true
				passed = append(passed, probe.Text(label(l), "signed by key "+seen.ShortKey(c)))
			}
		}
		if !found {
			return []probe.Finding{probe.Failing(causeListsMissing, probe.WantGot("revocation list of "+subjectOf(c), "one, signed by it", "none"))}
		}
	}
	return []probe.Finding{probe.Passing(passed...)}
}
