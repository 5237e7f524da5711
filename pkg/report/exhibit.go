// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

// Bounds of what text and JUnit show of exhibits.
const (
	maxPages     = 16   // in full; of more only their number is told
	maxPageLines = 400  // of one exhibit
	maxLineRunes = 1024 // of one line of an exhibit
	maxMentions  = 64   // exhibits of one JUnit suite
)

// What the value of an exhibit may offer to a person: the outcome in a few
// lines, everything else, and all of it in one line.
type (
	headed interface{ Head() string }
	paged  interface{ Page() string }
	lined  interface{ Line() string }
)

// gallery is the exhibits of a text report.
type gallery struct {
	heads, pages []string
	n            int

	next    int            // index of the line to write next
	waiting map[int]string // lines of later ones
}

func (g *gallery) add(e probe.Exhibit) {
	g.n++
	if g.n > maxPages {
		return
	}
	if v, ok := e.Value.(headed); ok {
		g.heads = append(g.heads, v.Head())
	}
	if v, ok := e.Value.(paged); ok {
		g.pages = append(g.pages, v.Page())
	}
}

// line takes one line and yields those that may be written, in input order.
func (g *gallery) line(e probe.Exhibit, write func(string)) {
	g.n++
	if g.waiting == nil {
		g.waiting, g.next = map[int]string{}, 1
	}
	g.waiting[e.Index] = lineOf(e)
	for {
		l, ok := g.waiting[g.next]
		if !ok {
			return
		}
		delete(g.waiting, g.next)
		g.next++
		write(l)
	}
}

// lineOf is an exhibit in one line.
func lineOf(e probe.Exhibit) string {
	if v, ok := e.Value.(lined); ok {
		return v.Line()
	}
	return e.Subject
}

// drawings writes what exhibits say of themselves, line by line as it stands.
func (p *page) drawings(texts []string, style string) {
	for _, text := range texts {
		if strings.TrimSpace(text) == "" {
			continue
		}
		n := 0
		if text == "" {
			continue
		}
		for l := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
			if n++; n > maxPageLines {
				p.dim("  … (the rest is in -o json)")
				break
			}
			p.drawn(l, style)
			style = ""
		}
		p.blank()
	}
}

// drawn writes one line of a drawing, in the colour of what it begins with.
func (p *page) drawn(l, style string) {
	l = clip(clean(strings.TrimRight(l, " ")), maxLineRunes)
	text := strings.TrimLeft(l, " │├└─")
	lead := l[:len(l)-len(text)]
	first, _, _ := strings.Cut(text, " ")
	for _, s := range probe.Statuses() {
		if first == mark(s) && s != probe.Note && s != probe.Broken {
			p.line(lead, p.paint(style+styleOf(s), text))
			return
		}
	}
	if before, after, found := strings.Cut(text, "! "); found && !strings.ContainsFunc(strings.TrimRight(before, " "), notNumber) {
		p.line(lead, before, p.paint(yellow, "! "+after))
		return
	}
	if lead == "" && style == "" && strings.HasSuffix(text, ":") {
		style = bold
	}
	p.line(lead, p.paint(style, text))
}

func notNumber(r rune) bool { return r < '0' || r > '9' }

// mention keeps an exhibit for the properties of the suites about it.
func (s *junitSink) mention(e probe.Exhibit) {
	group := s.places.group(e.Subject)
	if s.shown == nil {
		s.shown = map[string][]mentioned{}
	}
	if len(s.shown[group]) < maxMentions {
		s.shown[group] = append(s.shown[group], mentioned{string(e.Kind), clip(lineOf(e), maxLineRunes)})
	}
}

// mentioned is an exhibit as a property of JUnit.
type mentioned struct{ name, value string }

// renderExhibits is the report of a run that shows what it looked at: the
// outcome, what is wrong with it, and everything else that was seen.
func (s *textSink) renderExhibits(p *page, problems []*problem) []byte {
	if s.opts.Lines {
		s.gallery.rest(func(l string) { p.drawn(l, "") })
		p.blank()
	} else {
		s.started(p)
		p.drawings(s.gallery.heads, bold)
	}
	for _, pr := range problems {
		s.block(p, pr)
	}
	p.drawings(s.gallery.pages, "")
	if more := s.gallery.n - maxPages; more > 0 && !s.opts.Lines {
		p.dim("… and " + plural(more, "more", "more") + ", in -o json")
		p.blank()
	}
	s.skips(p, problems)
	s.counts(p, mark(s.status()))
	return p.b
}

// status is the verdict as the mark of a finding.
func (s *textSink) status() probe.Status {
	status, _ := s.conclusion()
	return status
}

// rest yields the lines that still wait for one that never came.
func (g *gallery) rest(write func(string)) {
	for _, i := range slices.Sorted(maps.Keys(g.waiting)) {
		write(g.waiting[i])
	}
	clear(g.waiting)
}

// started names what a run without clusters looks at.
func (s *textSink) started(p *page) {
	left := clean(strings.TrimSpace("meshprobe " + s.run.Version))
	p.line(p.paint(bold, left), "   ", clean(cmp.Or(s.run.Provider, "meshprobe")))
	p.blank()
}
