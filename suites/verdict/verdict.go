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
	TrustDomains []string          // of the side that verifies: its own, then aliases; nil for no check
	Identities   []string          // expected of a server, nil for no check
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
	roots := probe.Text("trust anchors of the side that verifies", q.Roots.Describe(q.At)).As(probe.KindBundle)
	return probe.Failing(named(q.By, code, decisive.Code), chain, roots,
		probe.Text(string(decisive.Verifier)+" says", decisive.Reason).As(probe.KindVerdict),
		probe.Text("diagnosis", detail)).Judged(seen.Verdicts(verdicts)...)
}

// named is the cause of the first code for which the data plane's verifier can
// refuse at all: what other verifiers mind is not why this one refused.
func named(by cluster.DataPlane, codes ...string) probe.Cause {
	for _, code := range codes {
		if by == cluster.Ambient && code == verifier.CauseTrustDomainSidecar {
			code = verifier.CauseTrustDomainAmbient // an alias would not help
		}
		if slices.Contains(reasons(by), code) || code == verifier.CauseWrongIdentity {
			return cause.Chain(code)
		}
	}
	return probe.Unknown
}

// reasons are the codes for which the verifier of a data plane refuses.
func reasons(by cluster.DataPlane) []string {
	both := []string{
		verifier.CauseOversized, verifier.CauseRootIntermediate, verifier.CauseRootSameDN, verifier.CauseRootDistinctDN,
		verifier.CauseWrongIntermediate, verifier.CauseIntermediateUnsent, verifier.CauseLeafExpired, verifier.CauseClockSkew,
		verifier.CauseIntermediateExpired, verifier.CauseCriticalExtension, verifier.CauseNotACA, verifier.CauseEKU,
		verifier.CauseNameConstraints, verifier.CausePathLen, verifier.CauseSANShape, verifier.CauseWeak,
	}
	if by == cluster.Ambient {
		return append(both, verifier.CauseLeafIsCA, verifier.CauseDNEncoding, verifier.CauseTrustDomainAmbient)
	}
	return append(both, verifier.CauseRootExpired, verifier.CauseNoKeyCertSign, verifier.CauseKeyUsage, verifier.CauseSameDNAsRoot,
		verifier.CauseAKISerial, verifier.CauseAKIDrift, verifier.CauseSameDNOrder, verifier.CauseTrustDomainSidecar)
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

// ChainCauses are the causes that Chain can name where one of the data planes
// verifies a chain that is not empty.
func ChainCauses(by ...cluster.DataPlane) []probe.Cause {
	var codes []string
	for _, dp := range by {
		for _, code := range reasons(dp) {
			if !slices.Contains(codes, code) {
				codes = append(codes, code)
			}
		}
	}
	return append(cause.Chains(codes...), Unparsable)
}

// ClientCauses are the causes that RefusedClient and RefusedBy can name.
func ClientCauses(by ...cluster.DataPlane) []probe.Cause {
	return append(ChainCauses(by...), cause.Chain(verifier.CauseNoCertificate), StaleServer)
}

// RefusedBy says why a peer refused the client of question q: the chain and
// the peer's trust anchors tell, the alert corroborates.
func RefusedBy(q Question, alert probe.Evidence) probe.Finding {
	q.Role = verifier.Client
	if len(q.Chain) == 0 {
		return probe.Failing(cause.Chain(verifier.CauseNoCertificate), alert)
	}
	f := Chain(q)
	if f.Status == probe.Pass {
		// By what the objects say it should have been accepted: the peer
		// itself holds something else.
		return probe.Failing(StaleServer, alert, f.Evidence[0])
	}
	f.Evidence = append([]probe.Evidence{alert}, f.Evidence...)
	return f
}

// Refusal says whether a client that must be refused was, with the alert that
// was expected, beside a positive control.
func Refusal(label string, got, control seen.Handshake, alerts []string, accepted probe.Cause) probe.Finding {
	want := "refused with the alert " + strings.Join(alerts, " or ")
	evidence := probe.WantGot(label, want, got.Said()).As(probe.KindAlert)
	switch {
	case !control.Outcome.OK():
		return probe.Breaking("no positive control: a client that must be accepted was not", probe.Text("control", control.Said()))
	case got.Outcome == seen.NotRefused && control.Outcome == seen.Accepted:
		// This peer says so when it is content: silence is a slow peer's.
		return probe.Breaking("neither accepted nor refused in time", evidence)
	case got.Outcome.OK():
		return probe.Failing(accepted, evidence)
	case got.Outcome == seen.Refused && slices.Contains(alerts, got.Alert):
		return probe.Passing(evidence)
	case got.Outcome == seen.Refused:
		return probe.Failing(WrongReason, evidence)
	default:
		return probe.Breaking("the connection ended without a refusal", evidence)
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
