// SPDX-License-Identifier: Apache-2.0

// Package verdict turns what was seen of a peer into findings that several
// suites share: whether a chain verifies, why a handshake failed, whether a
// refusal came for the right reason. It is pure: no network, no clock.
package verdict

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// Question is a chain and who judges it.
type Question struct {
	Label        string // of the chain in the evidence: whose it is, and which side judges
	Chain        seen.Certs
	Roots        seen.Certs
	At           time.Time
	Role         verifier.Role
	TrustDomains []string          // of the side that verifies: its own, then aliases
	Identities   []string          // expected, nil for no check
	By           cluster.DataPlane // of the side that verifies: decides which verifier counts
}

// Chain says whether the chain verifies without help. It fails where the data
// plane's own verifier refuses it; what the others say goes along as verdicts.
func Chain(q Question) probe.Finding {
	opts := verifier.Options{Roots: q.Roots.Parsed(), At: q.At, Role: q.Role, TrustDomains: q.TrustDomains, Identities: q.Identities}
	certs, err := q.Chain.Parse()
	chain := seen.ChainEvidence(q.Label, q.Chain, q.At)
	if err != nil {
		return probe.Failing(Unparsable, chain, probe.Text("crypto/x509", err.Error()))
	}
	verdicts := verifier.All(verifier.Chain{Certs: certs}, opts)
	decisive := decides(verdicts, q.By)
	if decisive.Accepts {
		return probe.Passing(chain).Judged(seen.Verdicts(verdicts)...)
	}
	code, detail, _ := verifier.Diagnose(verifier.Chain{Certs: certs}, opts)
	if code == "" {
		code, detail = decisive.Code, decisive.Reason
	}
	roots := probe.Text("trust anchors of the side that verifies", q.Roots.Describe(q.At)).As(probe.KindBundle)
	return probe.Failing(cause.Chain(code), chain, roots,
		probe.Text(string(decisive.Verifier)+" says", decisive.Reason).As(probe.KindVerdict),
		probe.Text("diagnosis", detail)).Judged(seen.Verdicts(verdicts)...)
}

// decides picks the verifier that a data plane verifies with: Envoy in
// sidecars and gateways, ztunnel in ambient.
func decides(vs []verifier.Verdict, dp cluster.DataPlane) verifier.Verdict {
	name := verifier.NameEnvoy
	if dp == cluster.Ambient {
		name = verifier.NameZtunnel
	}
	i := slices.IndexFunc(vs, func(v verifier.Verdict) bool { return v.Verifier == name })
	return vs[max(i, 0)]
}

// Unparsable is the cause where crypto/x509 cannot read a certificate.
var Unparsable = probe.Cause{
	Code: "certificate-unparsable", Title: "a certificate of the chain cannot be parsed",
	Try: []string{"look at its bytes: openssl asn1parse -i -in CERT.pem; and issue it again"},
}

// ChainCauses are the causes that Chain can name.
func ChainCauses() []probe.Cause { return append(cause.Chains(), Unparsable) }

// Refusal says whether a client that must be refused was, with the alert that
// was expected, beside a positive control.
func Refusal(label string, got seen.Handshake, control seen.Handshake, alerts []string, accepted probe.Cause) probe.Finding {
	want := "refused with the alert " + strings.Join(alerts, " or ")
	evidence := probe.WantGot(label, want, got.Said()).As(probe.KindAlert)
	switch {
	case !control.Outcome.OK():
		return probe.Breaking("no positive control: a client that must be accepted was not", probe.Text("control", control.Said()))
	case got.Outcome.OK():
		return probe.Failing(accepted, evidence)
	case got.Outcome == seen.Refused && slices.Contains(alerts, got.Alert):
		return probe.Passing(evidence)
	case got.Outcome == seen.Refused:
		return probe.Failing(WrongReason, evidence)
	default:
		return probe.Breaking("not a refusal: "+got.Said(), evidence)
	}
}

// WrongReason is the cause where a refusal came for another reason than the
// one under test: what was to be shown was not shown.
var WrongReason = probe.Cause{
	Code: "refused-for-another-reason", Title: "the client was refused, but not for the reason under test",
	Try: []string{"meshprobe explain {{.ID}}   # and look at what the peer logs for the alert"},
}

// Plaintext describes what came of a plaintext request.
func Plaintext(p seen.Plain) string {
	switch p.Outcome {
	case seen.Accepted:
		return "answered: " + p.Data
	case seen.Closed:
		return "closed without an answer"
	case seen.NotRefused:
		return "no answer, connection left open"
	default:
		return fmt.Sprintf("%s: %s", p.Outcome, p.Error)
	}
}
