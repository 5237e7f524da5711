// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"fmt"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// Head is the outcome in a few lines: who answered and how it ended, whether it
// is to be trusted, and who it is.
func (m Met) Head() string {
	lines := []string{m.outcome()}
	if l := m.Layer; l != nil && len(l.Chain) > 0 {
		lines = append(lines, m.outerPart().judgment()...)
	}
	if m.Inner != nil && len(m.Inner.Chain) > 0 {
		lines = append(lines, m.innerPart().judgment()...)
	}
	return strings.Join(lines, "\n")
}

// outcome is the first line.
func (m *Met) outcome() string {
	e := m.came()
	word := m.sentence(e)
	switch {
	case m.TCP.Outcome == wire.TCPUnresolvable, m.TCP.Outcome == wire.TCPLocal:
		return "? " + word
	case m.Asked.Expect != nil && m.asExpected():
		return "✓ as expected (" + m.Asked.Expect.String() + "): " + word
	case m.Asked.Expect != nil:
		return "× expected " + m.Asked.Expect.String() + ", got " + e.String() + ": " + word
	case m.asExpected():
		return m.rejected(word)
	case e.What != ExpectAccept:
		return "× " + word
	case m.Asked.Negative:
		return "× accepted, and must not be: " + word
	default:
		return "✓ " + word
	}
}

// sentence says what happened, with the address.
func (m *Met) sentence(e event) string {
	l := m.Last()
	where := m.Address
	if l != nil && m.nested() {
		where = map[bool]string{true: "the inner layer of ", false: "the outer layer of "}[m.Inner != nil] + where
	}
	switch {
	case e.What == "unreachable":
		return "no connection to " + m.Address + ": " + e.said
	case e.What == "not TLS":
		return m.Address + " does not speak TLS: " + e.said
	case l == nil, m.Answer.Protocol == wire.ProtocolClosed, m.TCP.Outcome == wire.TCPReset:
		return "closed by " + m.Address + " before a byte came (" + ended(m.Answer.End) + "): that says nothing of any certificate"
	case l.Outcome == seen.Refused:
		return "refused by " + where + ": it sent the alert " + l.Alert + when(l)
	case l.Outcome == seen.Closed:
		return "closed by " + where + " without an alert (" + ended(l.End) + ")" + when(l) + "; that says nothing of any certificate"
	case l.Outcome == wire.Rejected:
		return "given up by meshprobe with the alert " + l.OwnAlert + ", sent to " + where + ": " + l.Error
	case !l.Outcome.OK():
		return where + ": " + e.said
	}
	if e.What != ExpectAccept {
		return e.said + ", by " + where + ": " + l.Version + " was " + string(l.Outcome)
	}
	proof := "proved by " + l.Proof
	if l.Proof == "" {
		proof = "nothing came where a refusal would have come"
	}
	word := fmt.Sprintf("%s by %s: %s, %s", l.Outcome, where, l.Version, proof)
	if l.Authority != "" {
		word += "; CONNECT " + l.Authority + ": " + answered(l)
	}
	return word + ", " + millis(m.TotalMS)
}

// judgment says in a line each whether a layer is to be trusted, and whose
// identity it is.
func (p part) judgment() []string {
	var lines []string
	switch f := judgeTrust(p)[0]; f.Status {
	case probe.Pass:
		lines = append(lines, "✓ "+p.label("chain")+" verifies against "+p.root())
	case probe.Skip:
		lines = append(lines, "– "+p.label("chain")+" is not judged without --trust-bundle; it would take the root "+rootNeeded(p.layer))
	default:
		lines = append(lines, "× "+p.label("chain")+" does not verify: "+f.Cause.Title)
	}
	who := p.label("identity") + " is " + leafName(p.layer)
	switch f := judgeIdentity(p)[0]; {
	case f.Status == probe.Pass && p.identity() != "":
		return append(lines, "✓ "+who+", as expected")
	case f.Status == probe.Pass, f.Status == probe.Note:
		return append(lines, "  "+who)
	default:
		return append(lines, "× "+join(", expected ", who, p.identity()))
	}
}

// Page is everything else that was seen: what was agreed on, what was asked
// for, the chain as the tree that it forms, what the verifiers say, the tunnel.
func (m Met) Page() string {
	var b strings.Builder
	if m.Layer != nil {
		m.outerPart().draw(&b)
	}
	if m.Inner != nil {
		b.WriteByte('\n')
		m.innerPart().draw(&b)
	}
	if t := m.Tunnel; t != nil {
		b.WriteByte('\n')
		row(&b, "tunnel", fmt.Sprintf("%s sent, %s received, %s", plural(t.Sent, "byte"), plural(t.Received, "byte"), join(": ", t.Closed, t.Error)))
		row(&b, "", t.Data)
	}
	if m.Layer == nil && len(m.TCP.Resolved) > 0 {
		row(&b, "addresses", strings.Join(m.TCP.Resolved, ", "))
	}
	return strings.Trim(b.String(), "\n")
}

// draw writes a layer.
func (p part) draw(b *strings.Builder) {
	l := p.layer
	if len(p.TCP.Resolved) > 0 && !p.inner {
		row(b, "address", p.TCP.Remote+" of "+strings.Join(p.TCP.Resolved, ", "))
	}
	row(b, p.label("tls"), parameters(l))
	row(b, p.label("client"), p.client())
	if len(l.Settings) > 0 {
		row(b, p.label("http/2"), settingsLine(l.Settings))
	}
	if l.Authority != "" {
		row(b, p.label("connect"), l.Authority+": "+join(", ", answered(l), prefixedIf("baggage ", l.Baggage)))
	}
	if l.Data != "" {
		row(b, p.label("data"), l.Data)
	}
	if len(l.Chain) == 0 {
		return
	}
	if len(p.Asked.Bundle) > 0 && judgeTrust(p)[0].Status == probe.Pass {
		row(b, p.label("verifiers"), p.verifiers()) // a failure says it beside its cause
	}
	fmt.Fprintf(b, "\n%s as sent, %s:\n", p.label("chain"), plural(int64(len(l.Chain)), "certificate"))
	tree := seen.Tree(l.Chain, p.At)
	if len(p.Asked.Bundle) > 0 {
		tree = seen.TreeUnder(l.Chain, p.Asked.Bundle, p.At)
	}
	for line := range strings.SplitSeq(tree, "\n") {
		fmt.Fprintf(b, "  %s\n", line)
	}
	if l.Unparsable != "" {
		for _, e := range unparsable(p)[1:] {
			for line := range strings.SplitSeq(e.Got, "\n") {
				fmt.Fprintf(b, "     %s\n", line)
			}
		}
	}
	if l.ChainCut {
		b.WriteString("  ! more was sent than is kept\n")
	}
}

// client is what was asked for and what was shown.
func (p part) client() string {
	l := p.layer
	asked := ""
	switch {
	case l.Asked && len(l.Authorities) > 0:
		asked = "a certificate is asked for, of " + strings.Join(l.Authorities, " or ")
	case l.Asked:
		asked = "a certificate is asked for, of any authority"
	case l.Version != "":
		asked = "no certificate is asked for"
	}
	leaf := l.Client.Leaf()
	switch {
	case leaf != nil && p.Seen.Client == string(wire.Foreign):
		return join("; ", asked, "shown: "+seen.Subject(leaf)+" under a root that nobody knows")
	case leaf != nil:
		return join("; ", asked, "shown: "+seen.Subject(leaf)+", "+seen.Validity(leaf, p.At))
	case l.Asked:
		return join("; ", asked, "none was shown")
	default:
		return asked
	}
}

// verifiers says what each of them makes of the chain.
func (p part) verifiers() string {
	if _, err := p.layer.Chain.Parse(); err != nil {
		return "not asked: " + err.Error()
	}
	q := p.question()
	var accepts, refuses []string
	for _, v := range verifier.All(verifier.Chain{Certs: p.layer.Chain.Parsed()}, verifier.Options{Roots: q.Roots.Parsed(), At: q.At, Role: q.Role}) {
		if v.Accepts {
			accepts = append(accepts, string(v.Verifier))
		} else {
			refuses = append(refuses, string(v.Verifier)+" refuses: "+v.Reason)
		}
	}
	word := " accept"
	if len(accepts) == 1 {
		word = " accepts"
	}
	if len(accepts) > 0 {
		refuses = append([]string{strings.Join(accepts, ", ") + word}, refuses...)
	}
	return strings.Join(refuses, "\n")
}

// Line is all of it in one line, for lists of many.
func (m Met) Line() string {
	what, more := "×", ""
	f, failed := m.firstFailure()
	switch {
	case failed && f.Status == probe.Broken:
		what, more = "?", f.Reason
	case failed:
		more = f.Cause.Code
	default:
		what = "✓"
	}
	e := m.came()
	said := e.What
	switch {
	case e.What == ExpectAccept && m.Last() != nil:
		said = string(m.Last().Outcome)
	case e.What == ExpectAlert:
		said = "refused: " + e.Value + " from the peer"
	case e.What == ExpectClose:
		said = "closed without an alert"
	case e.Value != "":
		said = e.String()
	case e.What == "unreachable", e.What == "not TLS":
		said = e.said
	}
	if l := m.Last(); l != nil && l.Version != "" {
		said = join("  ", said, join(" ", l.Version, l.ALPN), leafName(l), left(l, m))
	}
	return join("  ", what+" "+m.Address, said, more, millis(m.TotalMS))
}

// left is how long the leaf is still valid.
func left(l *wire.Layer, m Met) string {
	leaf := l.Chain.Leaf()
	if leaf == nil {
		return ""
	}
	if leaf.NotAfter.Before(m.At) {
		return "expired " + seen.Span(m.At.Sub(leaf.NotAfter)) + " ago"
	}
	return seen.Span(leaf.NotAfter.Sub(m.At)) + " left"
}

// firstFailure is the first finding that is no good.
func (m Met) firstFailure() (probe.Finding, bool) {
	for _, judge := range judges(m.Kind) {
		for _, f := range judge(m) {
			if f.Status == probe.Fail || f.Status == probe.Broken {
				return f, true
			}
		}
	}
	return probe.Finding{}, false
}

func row(b *strings.Builder, key, value string) {
	if value == "" {
		return
	}
	for line := range strings.SplitSeq(value, "\n") {
		fmt.Fprintf(b, "  %-16s%s\n", key, line)
		key = ""
	}
}

func settingsLine(settings map[string]uint32) string {
	return strings.Join(settingLines(settings), " ")
}

func prefixedIf(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

func millis(ms float64) string {
	switch {
	case ms >= 1000:
		return fmt.Sprintf("%.1fs", ms/1000)
	case ms >= 10:
		return fmt.Sprintf("%.0fms", ms)
	default:
		return fmt.Sprintf("%.1fms", ms)
	}
}
