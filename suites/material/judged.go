// SPDX-License-Identifier: Apache-2.0

package material

import (
	"crypto/x509"
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// opinion is what the verifiers say of a chain, or of what a CA would issue.
type opinion struct {
	verdicts []verifier.Verdict
	code     string // why, where a verifier of a mesh refuses
	detail   string
}

// options are those of the side that verifies.
func (q Question) options(roots seen.Certs) verifier.Options {
	return verifier.Options{
		Roots: roots.Parsed(), At: q.At, Role: q.Role(), TrustDomains: q.TrustDomains, Identities: q.Identities,
	}
}

// asked has the verifiers judge certificates by trust anchors. Where the first
// is a CA's, it is a leaf of that CA that is judged.
func asked(certs []*x509.Certificate, roots seen.Certs, q Question) opinion {
	if len(certs) > 0 && signs(certs[0]) {
		return askedOfIssuer(certs, roots, q, wouldBe(q))
	}
	c, opts := verifier.Chain{Certs: certs}, q.options(roots)
	code, detail, _ := verifier.Diagnose(c, opts)
	return opinion{verifier.All(c, opts), code, detail}.settled()
}

// askedOfIssuer has them judge a leaf that the first certificate would issue to
// an identity.
func askedOfIssuer(certs []*x509.Certificate, roots seen.Certs, q Question, id string) opinion {
	c, opts := verifier.Chain{Certs: certs}, q.options(roots)
	code, detail := verifier.DiagnoseIssuing(c, id, opts)
	return opinion{verifier.Issuing(c, id, opts), code, detail}.settled()
}

// settled names a cause exactly where a verifier of a mesh refuses, and one for
// which that verifier can refuse.
func (o opinion) settled() opinion {
	refusing := o.refusing()
	if len(refusing) == 0 {
		return opinion{verdicts: o.verdicts}
	}
	codes := make([]string, len(refusing))
	for i, v := range refusing {
		codes[i] = v.Code
	}
	if slices.Contains(codes, o.code) && o.code != verifier.CauseUnknown {
		return o
	}
	for i, code := range codes {
		if i == 0 || o.code == verifier.CauseUnknown {
			o.code, o.detail = code, refusing[i].Reason
		}
	}
	return o
}

// refusing are the verifiers of a mesh that refuse; OpenSSL is none of them.
func (o opinion) refusing() []verifier.Verdict {
	return slices.DeleteFunc(slices.Clone(o.verdicts), func(v verifier.Verdict) bool {
		return v.Accepts || v.Verifier == verifier.NameOpenSSL
	})
}

// signs says whether a certificate is there to sign others, and not a leaf that
// bears the CA flag by mistake.
func signs(c *x509.Certificate) bool {
	return c.IsCA && (c.KeyUsage&x509.KeyUsageCertSign != 0 || len(c.URIs) == 0) ||
		!c.IsCA && c.KeyUsage&x509.KeyUsageCertSign != 0 && len(c.URIs) == 0
}

// wouldBe is the identity of a leaf that is not there to be read: the expected
// one, else one of the verifier's trust domain.
func wouldBe(q Question) string {
	if len(q.Identities) > 0 {
		return q.Identities[0]
	}
	td := "cluster.local"
	if len(q.TrustDomains) > 0 {
		td = q.TrustDomains[0]
	}
	return "spiffe://" + td + "/ns/default/sa/default"
}

// finding turns the opinion into what a probe says that can name some causes; it
// has the verdicts.
func (o opinion) finding(causes []probe.Cause, evidence ...probe.Evidence) probe.Finding {
	if len(o.refusing()) == 0 {
		return probe.Passing(evidence...).Judged(seen.Verdicts(o.verdicts)...)
	}
	var names []string
	for _, v := range o.refusing() {
		names = append(names, spoken(v.Verifier))
	}
	facts := []probe.Evidence{probe.Text("refused by", strings.Join(names, ", ")).As(probe.KindVerdict)}
	if o.detail != "" {
		facts = append(facts, probe.Text("diagnosis", o.detail))
	}
	facts = append(facts, evidence...)
	why := probe.Unknown
	if i := slices.IndexFunc(causes, func(c probe.Cause) bool { return c.Code == o.code }); i >= 0 {
		why = causes[i]
	}
	return probe.Failing(why, facts[0], facts[1:]...).Judged(seen.Verdicts(o.verdicts)...)
}

// spoken is a verifier by the name that people know.
func spoken(n verifier.Name) string {
	switch n {
	case verifier.NameGo:
		return "istiod (Go)"
	case verifier.NameOpenSSL:
		return "OpenSSL"
	case verifier.NameEnvoy:
		return "Envoy"
	default:
		return string(n)
	}
}

// told is one line for each verifier, marked.
func (o opinion) told() string {
	var lines, accept []string
	for _, v := range o.verdicts {
		if v.Accepts {
			accept = append(accept, spoken(v.Verifier))
		}
	}
	if len(accept) > 0 {
		lines = append(lines, "✓ accepted by "+strings.Join(accept, ", "))
	}
	for _, v := range o.verdicts {
		if !v.Accepts {
			mark := "× "
			if v.Verifier == verifier.NameOpenSSL {
				mark = "! "
			}
			lines = append(lines, mark+spoken(v.Verifier)+" refuses: "+v.Reason+"  ("+v.Clause+")")
		}
	}
	return strings.Join(lines, "\n")
}

// accepted are the causes for which a verifier of a mesh can refuse a chain.
func accepted() []probe.Cause {
	return refusals(verifier.CauseOutlives)
}

// refusals are the causes of the verifiers but some, and that of a certificate
// which none of them can read.
func refusals(but ...string) []probe.Cause {
	codes := slices.DeleteFunc(verifier.Causes(), func(code string) bool {
		return code == verifier.CauseUnknown || slices.Contains(but, code)
	})
	return chains(append(codes, verdict.Unparsable.Code)...)
}
