// SPDX-License-Identifier: Apache-2.0

package material

import (
	"fmt"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// ListCurrent checks that a revocation list is in force.
var ListCurrent = probe.DefineOn(probe.Meta{
	ID:      "material/list-current",
	Title:   "the revocation list is in force",
	About:   "thisUpdate has passed and nextUpdate has not. Envoy refuses every certificate below a CA whose list has expired; ztunnel does not look at the dates of lists.",
	Clause:  spec.CRLNextUpdate,
	Causes:  []probe.Cause{causeListExpired, causeListEarly, causeListUnread},
	Applies: "revocation lists",
}, documents(sortRevoked), judgeListCurrent)

var (
	causeListExpired = probe.Cause{
		Code: "crl-expired", Title: "the revocation list has expired: Envoy refuses everything below its CA",
		Try: []string{"have the CA issue a new list, and write it into ca-crl.pem", "look at it: openssl crl -in FILE -noout -lastupdate -nextupdate -issuer"},
	}
	causeListEarly = probe.Cause{
		Code: "clock-skew", Title: "the revocation list is not in force yet: clocks differ",
		Try: []string{"compare the clocks of the CA and of who verifies: date -u"},
	}
	causeListUnread = probe.Cause{
		Code: "crl-malformed", Title: "the revocation list cannot be read",
		Try: []string{"fetch it again from the CA"},
	}
)

func judgeListCurrent(e Exam) []probe.Finding {
	at := e.Question.At
	var passed []probe.Evidence
	for _, l := range e.CRLs {
		switch {
		case l.Error != "":
			return []probe.Finding{probe.Failing(causeListUnread, probe.Text("crypto/x509", l.Error))}
		case at.Before(l.ThisUpdate):
			return []probe.Finding{probe.Failing(causeListEarly, probe.WantGot(label(l), "in force at "+seen.Stamp(at), "from "+seen.Stamp(l.ThisUpdate)))}
		case !l.NextUpdate.IsZero() && at.After(l.NextUpdate):
			return []probe.Finding{probe.Failing(causeListExpired, probe.WantGot(label(l), "in force at "+seen.Stamp(at),
				fmt.Sprintf("until %s (%s ago)", seen.Stamp(l.NextUpdate), seen.Span(at.Sub(l.NextUpdate)))))}
		case l.NextUpdate.IsZero():
			passed = append(passed, probe.Text(label(l), "without an end, from "+seen.Stamp(l.ThisUpdate)))
		default:
			passed = append(passed, probe.Text(label(l), fmt.Sprintf("until %s (%s left)", seen.Stamp(l.NextUpdate), seen.Span(l.NextUpdate.Sub(at)))))
		}
	}
	return []probe.Finding{probe.Passing(passed...)}
}
