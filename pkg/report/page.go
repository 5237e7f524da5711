// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

// Styles of ECMA-48, joined by concatenation.
const (
	bold    = "1;"
	faint   = "2;"
	red     = "31;"
	green   = "32;"
	yellow  = "33;"
	blue    = "34;"
	magenta = "35;"
)

// gutter is where the values of a block start.
const gutter = 11

// page collects lines of text. Widths count runes, before styles.
type page struct {
	b     []byte
	lines int
	width int
	color bool
}

func (p *page) paint(style, s string) string {
	if !p.color || style == "" || s == "" {
		return s
	}
	return "\x1b[" + strings.TrimSuffix(style, ";") + "m" + s + "\x1b[0m"
}

func (p *page) line(parts ...string) {
	for _, s := range parts {
		p.b = append(p.b, s...)
	}
	p.b = append(p.b, '\n')
	p.lines++
}

func (p *page) blank() { p.line() }

// dim writes a line that matters less, wrapped.
func (p *page) dim(s string) {
	indent := len(s) - len(strings.TrimLeft(s, " "))
	for i, l := range wrap(clean(s[indent:]), p.width-indent-2) {
		pad := indent
		if i > 0 {
			pad += 2
		}
		p.line(strings.Repeat(" ", pad), p.paint(faint, l))
	}
}

// field writes a key in the gutter of a block and a value beside it, wrapped.
func (p *page) field(key, value string) { p.hanging("    ", key, value, p.width-gutter, "") }

// command writes a value that somebody pastes: never wrapped.
func (p *page) command(key, value string) {
	if value != "" {
		p.hanging("    ", key, value, 0, bold)
	}
}

func (p *page) hanging(indent, key, value string, width int, style string) {
	lines := 0
	for text := range strings.SplitSeq(value, "\n") {
		for _, l := range wrap(clean(text), width) {
			if lines++; lines > maxLines {
				p.line(strings.Repeat(" ", gutter), p.paint(faint, "… (the rest is in -o json)"))
				return
			}
			head := indent + key
			if lines > 1 || key == "" {
				head = ""
			}
			p.line(p.paint(faint, head), strings.Repeat(" ", gutter-len(head)), p.paint(style, l))
		}
	}
}

func (p *page) evidence(facts []probe.Evidence) {
	for i, e := range facts {
		if i == maxFacts {
			p.dim("    + " + itoa(len(facts)-i) + " more in -o json")
			return
		}
		label := clean(e.Label)
		if e.Want == "" && !strings.Contains(e.Got, "\n") && 4+runes(label)+2+runes(e.Got) <= p.width {
			p.line("    ", label, ": ", clean(e.Got))
			continue
		}
		for _, l := range wrap(label, p.width-4) {
			p.line("    ", l)
		}
		if e.Want != "" {
			p.hanging("      ", "want", e.Want, p.width-gutter, green)
			p.hanging("      ", "got", e.Got, p.width-gutter, red)
		} else {
			p.hanging("      ", "", e.Got, p.width-gutter, "")
		}
	}
}

// wrap breaks s between words so that lines have at most width runes; longer
// words stay whole. A width of 0 or less breaks nothing.
func wrap(s string, width int) []string {
	if width <= 0 || runes(s) <= width {
		return []string{s}
	}
	var lines []string
	line, n := "", 0
	for word := range strings.SplitSeq(s, " ") {
		w := runes(word)
		if n > 0 && n+1+w > width {
			lines = append(lines, line)
			line, n = "", 0
		}
		if n > 0 {
			line, n = line+" ", n+1
		}
		line, n = line+word, n+w
	}
	return append(lines, line)
}

// clip shortens s to at most width runes.
func clip(s string, width int) string {
	if runes(s) <= width {
		return s
	}
	return strings.TrimRight(string([]rune(s)[:max(0, width-1)]), " ,") + "…"
}

func runes(s string) int { return utf8.RuneCountInString(s) }

// clean makes text of a peer harmless on a terminal: control characters and
// what changes the direction of writing become their Go escapes.
func clean(s string) string {
	if strings.IndexFunc(s, harmful) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case r == '\t' || r == '\n':
			b.WriteByte(' ')
		case harmful(r):
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func harmful(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
}

// mark is how a status looks.
func mark(s probe.Status) string {
	switch s {
	case probe.Pass:
		return "✓"
	case probe.Fail:
		return "×"
	case probe.Warn:
		return "‼"
	case probe.Note:
		return "i"
	case probe.Skip:
		return "–"
	case probe.Pending:
		return "…"
	case probe.Blocked:
		return "○"
	default:
		return "?"
	}
}

func styleOf(s probe.Status) string {
	switch s {
	case probe.Pass:
		return green
	case probe.Fail:
		return red
	case probe.Warn, probe.Pending:
		return yellow
	case probe.Note:
		return blue
	case probe.Skip, probe.Blocked:
		return faint
	default:
		return magenta
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// plural is "1 edge", "2 edges".
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return itoa(n) + " " + many
}

// elapsed is a duration as a person says it.
func elapsed(d time.Duration) string {
	switch {
	case d < time.Second:
		return itoa(int(d.Round(time.Millisecond).Milliseconds())) + "ms"
	case d < time.Minute:
		return fmt.Sprintf("%.2fs", d.Seconds())
	default:
		return d.Round(time.Second).String()
	}
}
