// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// causeUncontrolled is a rejection that was asked for and proves nothing.
var causeUncontrolled = probe.Cause{
	Code: "refused-without-control", Title: "what was expected happened, and the client's own certificate is not accepted either: it says nothing of the other one",
	Try: []string{"meshprobe probe tls {{.Address}} --cert cert-chain.pem --key key.pem   # and with --sni, as the endpoint wants it: why is this one not accepted?"},
}

// noControl is why a rejection is not called proven.
const noControl = "the refusal has no control: name with --cert and --key, or --spiffe-socket, an identity that must be accepted here"

// refusals are the alerts with which a client is refused that must be, by what
// answers as peers of its kind do (failures.md §3). Envoy, ztunnel, Go and
// OpenSSL agree on an unknown root, which the foreign one is, by name and key,
// and on a missing certificate but for the TLS version. A plain TLS server may
// be any: one in Go that verifies in a callback says bad_certificate for
// everything, one in Java certificate_unknown for a path that it cannot build.
func (m *Met) refusals() []string {
	l := m.Last()
	mesh := m.tunnels() || m.Kind == wire.Sidecar
	switch {
	case m.Client == string(wire.Foreign) && mesh:
		return []string{"unknown_ca"}
	case m.Client == string(wire.Foreign):
		return []string{"unknown_ca", "bad_certificate", "certificate_unknown"}
	}
	alerts := []string{"certificate_required"}
	if l != nil && l.Version != "TLS 1.3" {
		alerts = append(alerts, "handshake_failure") // there is no certificate_required before TLS 1.3; rustls sends it all the same
	}
	if !mesh {
		alerts = append(alerts, "bad_certificate")
	}
	return alerts
}

// refusedRightly says that a client that must be refused was, with an alert that
// fits and after a certificate was asked for: before that, no alert is about it.
func (m *Met) refusedRightly(e event) bool {
	return e.What == ExpectAlert && m.Last().Asked && slices.Contains(m.refusals(), e.Value)
}

// negative judges what became of a client that must be refused. A refusal
// counts for the right reason only, and beside a control: the same endpoint
// accepted the client's own certificate right after.
func negative(p part, got probe.Evidence) probe.Finding {
	l, c := p.layer, p.Control
	control := func(f probe.Finding) probe.Finding {
		if c != nil {
			f.Evidence = append(f.Evidence, p.control())
		}
		return f
	}
	switch {
	case l.Outcome == seen.NotRefused && c != nil && c.Outcome == seen.Accepted:
		// This peer says so when it is content: silence is a slow peer's.
		return control(probe.Breaking("neither accepted nor refused in time", got))
	case l.Outcome.OK() && p.Client == string(wire.Foreign) && l.Asked:
		return probe.Failing(causeForeignAccepted, got)
	case l.Outcome.OK():
		return probe.Failing(cause.NotAsked, got)
	case c != nil && !c.Outcome.OK():
		return control(probe.Breaking("no positive control: the client's own certificate is not accepted either: "+saidControl(c), got))
	case p.asExpected() && c == nil:
		return probe.Undecided(noControl, got)
	case p.asExpected():
		return control(probe.Passing(got))
	case l.Outcome == seen.Closed && c != nil:
		return control(probe.Breaking("the connection ended without a refusal", got))
	case l.Outcome == seen.Closed:
		return probe.Failing(causeClosed, got)
	default:
		return control(probe.Failing(verdict.WrongReason, got))
	}
}

// expectedRefusal judges a refusal that --expect names: that it happened is all
// that was asked, and a control that failed is worth knowing.
func (p part) expectedRefusal(got probe.Evidence) probe.Finding {
	switch c := p.Control; {
	case c == nil:
		return probe.Passing(got)
	case c.Outcome.OK():
		return probe.Passing(got, p.control())
	default:
		return probe.Noting(causeUncontrolled, got, p.control())
	}
}

// wanted says with which alerts the client is to be refused.
func (m *Met) wanted() string {
	return "refused with the alert " + strings.Join(m.refusals(), " or ")
}

// control is what the endpoint made of the client's own certificate.
func (p part) control() probe.Evidence {
	return probe.WantGot("control, "+p.Control.Identity, "accepted", saidControl(p.Control)).As(probe.KindAlert)
}

func saidControl(c *wire.Control) string {
	l := &wire.Layer{Early: c.Early, End: c.End}
	l.Outcome, l.Proof, l.Alert, l.Error = c.Outcome, c.Proof, c.Alert, c.Error
	switch c.Outcome {
	case wire.Rejected:
		return "meshprobe ended " + what(l) + ": " + c.Error
	case wire.Stalled:
		return "the handshake stalled"
	case seen.Unreachable:
		return "no connection: " + c.Error
	default:
		return said(l)
	}
}

// rejected is the first line about a client that was refused with an alert that
// fits: what it is worth hangs on the control.
func (m *Met) rejected(word string) string {
	switch c := m.Control; {
	case c == nil:
		return "– " + word + ", as it must; without --cert and --key there is no control that another is accepted"
	case c.Outcome.OK():
		return "✓ as it must be: " + word + "; the client's own certificate is " + string(c.Outcome)
	default:
		return "? " + word + ", and the client's own certificate is not accepted either: " + saidControl(c)
	}
}
