// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// Expectation checks that what happened is what --expect named in advance.
var Expectation = probe.DefineOn(probe.Meta{
	ID:      "endpoint/expectation",
	Title:   "what was expected is what happened",
	About:   "With --expect: the one thing that was to happen, and what did. A refusal for another reason than the expected one is no success: it proves something else. A close without an alert is only what was expected where close was.",
	Clause:  spec.EndpointExpected,
	Causes:  []probe.Cause{causeUnexpected, verdict.WrongReason},
	Applies: "endpoints",
}, met(), judgeExpectation)

var causeUnexpected = probe.Cause{
	Code: "unexpected-outcome", Title: "something else happened than was expected",
	Try: []string{"meshprobe explain {{.ID}}   # and what the other findings say: they name the cause of what happened"},
}

func judgeExpectation(m Met) []probe.Finding {
	e := m.came()
	switch {
	case m.Asked.Expect == nil:
		return []probe.Finding{probe.Skipping("nothing was expected with --expect")}
	case m.TCP.Outcome == wire.TCPLocal, m.TCP.Outcome == wire.TCPUnresolvable:
		return []probe.Finding{probe.Breaking("meshprobe could not dial", probe.Text("TCP", saidTCP(m.TCP)))}
	}
	got := probe.WantGot("outcome", m.Asked.Expect.String(), e.Wanted.String()).As(probe.KindAlert)
	words := probe.Text("that is", e.said)
	switch {
	case m.asExpected():
		return []probe.Finding{probe.Passing(got, words)}
	case m.Asked.Expect.What != ExpectAccept && e.What != ExpectAccept && e.What != "unreachable":
		return []probe.Finding{probe.Failing(verdict.WrongReason, got, words)}
	default:
		return []probe.Finding{probe.Failing(causeUnexpected, got, words)}
	}
}
