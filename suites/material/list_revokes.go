// SPDX-License-Identifier: Apache-2.0

package material

import (
	"fmt"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// ListRevokes says which of the given certificates a list revokes.
var ListRevokes = probe.DefineOn(probe.Meta{
	ID:      "material/list-revokes",
	Title:   "none of the given certificates is revoked",
	About:   "The certificates beside the list and those of --against are looked up in it by issuer and serial number. Two CAs of one name that give out the same serial numbers are both hit by one entry. Envoy and ztunnel refuse a revoked certificate, and ztunnel ends its connections.",
	Clause:  spec.CRLRevoked,
	Causes:  []probe.Cause{causeRevoked},
	Applies: "revocation lists",
}, documents(sortRevoked), judgeListRevokes)

var causeRevoked = probe.Cause{
	Code: "certificate-revoked", Title: "a certificate is revoked: Envoy and ztunnel refuse it and what hangs below it",
	Try: []string{"issue it again with a new key; taking it off the list does not help proxies that have seen the list"},
}

func judgeListRevokes(e Exam) []probe.Finding {
	given := e.given()
	if len(given) == 0 {
		return []probe.Finding{probe.Undecided("no certificate to look up: --against FILE with chains or bundles", probe.Text("revoked", fmt.Sprintf("%d certificates", total(e))))}
	}
	var hits, passed []probe.Evidence
	for _, l := range e.CRLs {
		list, err := l.X509()
		if err != nil {
			continue
		}
		for _, c := range given {
			if revokes(list, c) {
				hits = append(hits, probe.WantGot(subjectOf(c), "not on the "+label(l), "serial number "+hexOf(c.SerialNumber)+" is on it"))
			}
		}
		passed = append(passed, probe.Text(label(l), fmt.Sprintf("%d revoked, none of the %d given", l.Revoked, len(given))))
	}
	if len(hits) > 0 {
		return []probe.Finding{probe.Failing(causeRevoked, hits[0], hits[1:]...)}
	}
	return []probe.Finding{probe.Passing(passed...)}
}

func total(e Exam) int {
	n := 0
	for _, l := range e.CRLs {
		n += l.Revoked
	}
	return n
}
