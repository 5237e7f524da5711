// SPDX-License-Identifier: Apache-2.0

package material

import (
	"fmt"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/material"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// Head says what the document is, and whether Istio and the verifiers of a mesh
// take it: the first lines of a report.
func (e Exam) Head() string { return e.title() + "\n" + e.verdict() }

// Line is Head in one line.
func (e Exam) Line() string {
	first, _, _ := strings.Cut(e.verdict(), "\n")
	return e.title() + "  " + first
}

// verdict is a line for each who would have to take the document.
func (e Exam) verdict() string {
	switch {
	case e.holds(sortCA):
		return e.caVerdict()
	case e.holds(sortChain):
		return e.chainVerdict()
	case e.SDS != nil && len(e.Roots) == 0:
		return "× " + string(e.SDS.State) + suffixed(e.SDS.Error)
	case e.Request != nil && e.Request.Error+e.Request.SignatureError != "":
		return "× no CA takes it: " + e.Request.Error + e.Request.SignatureError
	case e.Identity != nil && e.Identity.Error != "":
		return "× " + e.Identity.Error
	default:
		return e.summary()
	}
}

func suffixed(s string) string {
	if s == "" {
		return ""
	}
	return ": " + s
}

func (e Exam) caVerdict() string {
	s := startOf(e)
	if !s.accepts() {
		return "× istiod " + s.does + "\n× its words: " + s.words
	}
	o := e.issuedOpinion()
	return "✓ istiod " + s.does + "\n" + "a workload of it, at " + e.anchors().Source + ":\n" + o.told()
}

func (e Exam) chainVerdict() string {
	parsed, err := e.presented().Parse()
	switch {
	case err != nil:
		return "× " + err.Error()
	case e.Question.Against == nil:
		return "not judged without a bundle (--against BUNDLE): it needs " + needed(e.presented())
	}
	lead := fmt.Sprintf("as a %s's, by %s:\n", e.Question.Role(), e.Question.Against.Source)
	if signs(parsed[0]) {
		lead = fmt.Sprintf("a leaf that it would issue, as a %s's, by %s:\n", e.Question.Role(), e.Question.Against.Source)
	}
	return lead + asked(parsed, e.Question.Against.Roots, e.Question).told()
}

// summary is what there is in a document that nobody has to take.
func (e Exam) summary() string {
	switch {
	case e.Request != nil:
		return fmt.Sprintf("asks for %s, key %s", strings.Join(orNone(e.Request.URIs), ", "), e.Request.Key)
	case len(e.CRLs) > 0:
		return fmt.Sprintf("%s revoked", counted(total(e), "certificate"))
	case e.Identity != nil:
		return "trust domain " + e.Identity.TrustDomain + ", path " + e.Identity.Path
	case len(e.Roots) > 0:
		return "trusts " + counted(len(e.trusted().SPKIs()), "key")
	case e.Key != nil:
		return strings.TrimSpace(e.Key.Type + " in " + e.Key.Encoding)
	case len(e.Remotes) > 0:
		return "opens " + counted(len(e.Remotes), "other cluster")
	case len(e.Contexts)+len(e.Workloads)+len(e.Services) > 0:
		return "read"
	default:
		return "holds no certificate"
	}
}

func orNone(s []string) []string {
	if len(s) == 0 {
		return []string{"no URI"}
	}
	return s
}

// Page is everything else: the certificates as trees, and what else is there.
func (e Exam) Page() string {
	var b strings.Builder
	at := e.Question.At
	of := ""
	if e.Name != "" && e.Object == nil && e.Identity == nil {
		of = " of " + e.Name
	}
	section := func(name, text string) {
		if text != "" {
			b.WriteString(name + of + ":\n" + text + "\n")
		}
	}
	switch {
	case e.holds(sortCA):
		section("ca-cert.pem and cert-chain.pem, under root-cert.pem", seen.TreeUnder(seen.FromX509(e.issuing()), e.trusted(), at))
	case len(e.Certificates) > 0 && e.Question.Against != nil:
		section("chain", seen.TreeUnder(e.presented(), e.Question.Against.Roots, at))
	case len(e.Certificates) > 0:
		section("chain", seen.Tree(e.presented(), at))
	}
	if len(e.Roots) > 0 {
		section("trust anchors", seen.Forest(e.trusted(), at))
	}
	if b.Len() == 0 && len(e.Certificates)+len(e.Roots) == 0 && e.SDS != nil {
		return ""
	}
	section("key", e.keyLine())
	section("request", e.requestLines())
	section("revocation lists", e.listLines())
	section("TLS contexts", e.contextLines())
	section("SAN matchers", strings.TrimSpace(indentAll(e.SANMatchers)))
	section("remote clusters", e.remoteLines())
	section("bundle", e.bundleLine())
	return b.String()
}

func indentAll(ms []material.SANMatcher) string {
	if len(ms) == 0 {
		return ""
	}
	return matchers(ms)
}

func (e Exam) keyLine() string {
	k := e.Key
	if k == nil {
		return ""
	}
	line := strings.TrimSpace(k.Type + " " + k.Encoding)
	switch {
	case k.Redacted:
		return "left out of the dump"
	case k.Error != "":
		return line + ", cannot be read: " + k.Error
	case k.Encrypted:
		return line + ", under a passphrase"
	case k.Matches != nil && *k.Matches:
		return line + fmt.Sprintf(", %.16s, fits the certificate", k.SPKI)
	case k.Matches != nil:
		return line + fmt.Sprintf(", %.16s, of another certificate", k.SPKI)
	default:
		return line + fmt.Sprintf(", %.16s", k.SPKI)
	}
}

func (e Exam) requestLines() string {
	r := e.Request
	if r == nil || r.Error != "" {
		return ""
	}
	lines := []string{
		"subject " + seen.Name(r.Subject),
		fmt.Sprintf("key %.16s, %s, signed with %s", r.SPKI, r.Key, r.Signature),
	}
	for _, u := range r.URIs {
		lines = append(lines, "URI "+u)
	}
	for _, d := range r.DNSNames {
		lines = append(lines, "DNS "+d)
	}
	return strings.Join(lines, "\n")
}

func (e Exam) listLines() string {
	var lines []string
	for _, l := range e.CRLs {
		line := label(l) + ": " + counted(l.Revoked, "certificate") + " revoked"
		if !l.NextUpdate.IsZero() {
			line += ", next " + seen.Stamp(l.NextUpdate)
		}
		lines = append(lines, line)
		for i, s := range l.Serials {
			if i == maxSerials {
				lines = append(lines, fmt.Sprintf("   … and %d more", l.Revoked-i))
				break
			}
			lines = append(lines, "   serial number "+s)
		}
	}
	return strings.Join(lines, "\n")
}

// maxSerials bounds what a page tells of one list.
const maxSerials = 12

func (e Exam) contextLines() string {
	var lines []string
	for _, c := range e.Contexts {
		side := "connects with"
		if c.Downstream {
			side = "answers with"
		}
		line := fmt.Sprintf("%s %s %s", c.Where, side, strings.Join(append(c.CertificateSecrets, c.ValidationSecret), ", "))
		line += expecting(c)
		if c.Downstream && !c.RequireClientCert {
			line += ", asks for no client certificate"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// maxMatchers bounds what a page tells of the SAN matchers of one context.
const maxMatchers = 3

// expecting says which names a context takes for those of its peer.
func expecting(c material.Context) string {
	var names []string
	for i, m := range c.SANMatchers {
		if i == maxMatchers {
			names = append(names, fmt.Sprintf("%d more", len(c.SANMatchers)-i))
			break
		}
		names = append(names, strings.TrimSpace(strings.TrimPrefix(m.Match, "exact")+" "+m.Value))
	}
	if len(names) == 0 {
		return ""
	}
	return ", expects " + strings.Join(names, " or ")
}

func (e Exam) remoteLines() string {
	var lines []string
	for _, r := range e.Remotes {
		line := r.Cluster + ": " + r.Server + ", " + r.Auth
		if !r.Expires.IsZero() {
			line += ", expires " + seen.Stamp(r.Expires)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func (e Exam) bundleLine() string {
	b := e.Bundle
	if b == nil {
		return ""
	}
	line := fmt.Sprintf("%s, %s", counted(len(e.Roots), "X.509 key"), counted(len(b.JWTAuthorities), "JWT key"))
	if b.Sequence != nil {
		line += fmt.Sprintf(", sequence %d", *b.Sequence)
	}
	if b.RefreshHint != nil {
		line += fmt.Sprintf(", refreshed every %ds", *b.RefreshHint)
	}
	return line
}

// Head says for each direction who accepts whom.
func (p Pair) Head() string {
	both, onlyA := shared(p.A.Roots, p.B.Roots)
	_, onlyB := shared(p.B.Roots, p.A.Roots)
	mark := "✓"
	if len(both) == 0 {
		mark = "×"
	}
	lines := []string{
		p.A.Source + " ↔ " + p.B.Source,
		fmt.Sprintf("%s %s shared by key, %d only in %s, %d only in %s", mark, counted(len(both), "root"), len(onlyA), p.A.Source, len(onlyB), p.B.Source),
	}
	for _, d := range [][2]Side{{p.A, p.B}, {p.B, p.A}} {
		lines = append(lines, direction(d[0], d[1])+":")
		if len(d[1].Roots) == 0 || len(d[0].shown()) == 0 {
			lines = append(lines, "not judged: nothing to judge by")
			continue
		}
		lines = append(lines, p.opinion(d[0], d[1]).told())
	}
	return strings.Join(lines, "\n")
}

// Line is the first of Head's.
func (p Pair) Line() string { return p.A.Source + " ↔ " + p.B.Source }

// Page draws both sides, and says aloud which roots share a name only.
func (p Pair) Page() string {
	var b strings.Builder
	at := p.Question.At
	both, onlyA := shared(p.A.Roots, p.B.Roots)
	_, onlyB := shared(p.B.Roots, p.A.Roots)
	for _, s := range []struct {
		name  string
		certs seen.Certs
	}{{"shared roots", both}, {"only in " + p.A.Source, onlyA}, {"only in " + p.B.Source, onlyB}} {
		if len(s.certs) > 0 {
			b.WriteString(s.name + ":\n" + seen.Forest(s.certs, at) + "\n")
		}
	}
	for _, t := range verifier.SameDNOtherKey(p.A.Roots.Parsed(), p.B.Roots.Parsed()) {
		fmt.Fprintf(&b, "! %s is in both, with key %s in %s and key %s in %s: not the same root\n",
			seen.Name(t.A.Subject.String()), seen.ShortKey(t.A), p.A.Source, seen.ShortKey(t.B), p.B.Source)
	}
	for _, s := range []Side{p.A, p.B} {
		if len(s.Issues) > 0 {
			b.WriteString("what a workload of " + s.Source + " shows:\n" + seen.Tree(s.Issues, at) + "\n")
		}
	}
	return b.String()
}
