// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

// Bounds of what text keeps and shows.
const (
	maxProblems = 512 // more collapse into one per probe and status
	maxSubjects = 6   // of one problem, by name
	maxFacts    = 6   // pieces of evidence of one problem
	maxLines    = 12  // of one piece of evidence
	maxHints    = 4   // different hints for one problem
)

// problemKey is what findings have in common that one block tells together:
// probe and cause, or the reason for which nothing was looked at.
type problemKey struct {
	status probe.Status
	id     string
	detail string
}

// problem is one block of text.
type problem struct {
	status   probe.Status
	shown    probe.Finding // the first by plan and subject
	n        int
	subjects []string       // the first maxSubjects by name
	hints    []hinted       // different ones, by the first subject that they are for
	unhinted bool           // there are more than maxHints
	ids      map[string]int // findings per probe
}

// hinted is what fixes a problem at some subjects: commands that name, say,
// their namespace.
type hinted struct{ subject, text string }

func (s *textSink) problem(f *probe.Finding) {
	key := problemKey{f.Status, f.ID, f.Cause.Code}
	if f.Status == probe.Skip || f.Status == probe.Broken {
		key = problemKey{f.Status, "", f.Reason}
	}
	pr, ok := s.problems[key]
	if !ok && len(s.problems) >= maxProblems {
		key = problemKey{f.Status, f.ID, ""}
		pr, ok = s.problems[key]
	}
	if !ok {
		pr = &problem{status: f.Status, shown: *f, ids: map[string]int{}}
		s.problems[key] = pr
	}
	pr.add(f, s.order)
}

func (pr *problem) add(f *probe.Finding, order planOrder) {
	pr.n++
	pr.ids[f.ID]++
	if cmp.Or(order.compare(f.ID, pr.shown.ID), strings.Compare(f.Subject, pr.shown.Subject)) < 0 {
		pr.shown = *f
	}
	pr.hint(f)
	i, found := slices.BinarySearch(pr.subjects, f.Subject)
	if found || i >= maxSubjects {
		return
	}
	pr.subjects = slices.Insert(pr.subjects, i, f.Subject)
	pr.subjects = pr.subjects[:min(len(pr.subjects), maxSubjects)]
}

func (pr *problem) hint(f *probe.Finding) {
	if len(f.Hint) == 0 {
		return
	}
	h := hinted{f.Subject, strings.Join(f.Hint, "\n")}
	i := slices.IndexFunc(pr.hints, func(o hinted) bool { return o.text == h.text })
	switch {
	case i < 0:
		pr.hints = append(pr.hints, h)
	case h.subject < pr.hints[i].subject:
		pr.hints[i] = h
	default:
		return
	}
	slices.SortFunc(pr.hints, func(a, b hinted) int {
		return cmp.Or(strings.Compare(a.subject, b.subject), strings.Compare(a.text, b.text))
	})
	if len(pr.hints) > maxHints {
		pr.hints, pr.unhinted = pr.hints[:maxHints], true
	}
}

// try writes what fixes the problem, each line once.
func (pr *problem) try(p *page) {
	var lines []string
	for _, h := range pr.hints {
		for line := range strings.SplitSeq(h.text, "\n") {
			if !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
	}
	p.command("try", strings.Join(lines, "\n"))
	if pr.unhinted {
		p.dim(strings.Repeat(" ", gutter) + "and alike elsewhere: -o json says it for each")
	}
}

// severity orders blocks: what is wrong, what meshprobe could not see, what
// will settle by itself, what is only worth knowing.
func severity(s probe.Status) int {
	return slices.Index([]probe.Status{
		probe.Fail, probe.Warn, probe.Broken, probe.Pending, probe.Note, probe.Skip,
	}, s)
}

func (s *textSink) sorted() []*problem {
	return slices.SortedFunc(maps.Values(s.problems), func(a, b *problem) int {
		return cmp.Or(
			cmp.Compare(severity(a.status), severity(b.status)),
			s.order.compare(a.shown.ID, b.shown.ID),
			strings.Compare(a.shown.Subject, b.shown.Subject),
			strings.Compare(a.shown.Cause.Code, b.shown.Cause.Code),
			strings.Compare(a.shown.Reason, b.shown.Reason),
		)
	})
}

// block writes one problem. Skips are lines at the end instead.
func (s *textSink) block(p *page, pr *problem) {
	switch pr.status {
	case probe.Skip:
		return
	case probe.Broken:
		s.brokenBlock(p, pr)
	default:
		s.findingBlock(p, pr)
	}
	p.blank()
}

func (s *textSink) findingBlock(p *page, pr *problem) {
	f := &pr.shown
	at := pr.title(p)
	if len(at) > 0 {
		p.field("at", strings.Join(at, ", "))
	}
	p.field("cause", f.Cause.Code+": "+f.Cause.Title)
	if pr.status == probe.Pending {
		p.field("until", f.Deadline.UTC().Format("2006-01-02 15:04:05 UTC")+"; a failure from then on")
	}
	if pr.n > 1 && len(f.Evidence) > 0 && !strings.Contains(f.Evidence[0].Label, f.Subject) {
		p.dim("    seen at " + f.Subject)
	}
	if pr.status != probe.Note {
		p.evidence(f.Evidence)
		for _, v := range f.Verdicts {
			p.field("", verdictLine(v))
		}
		pr.try(p)
	}
	p.command("see", "meshprobe explain "+f.ID)
	if pr.status == probe.Fail {
		s.consequences(p, f.ID)
	}
}

// title writes the first line of a block: the healthy fact that does not
// hold, and where. It returns the subjects that found no room there.
func (pr *problem) title(p *page) []string {
	head := mark(pr.status) + " " + clean(pr.shown.Title)
	if len(pr.subjects) == 1 {
		subject := clean(pr.subjects[0])
		if room := p.width - runes(head) - runes(subject); room >= 2 {
			p.line(p.paint(bold+styleOf(pr.status), head), strings.Repeat(" ", room), p.paint(bold, subject))
			return nil
		}
	}
	p.line(p.paint(bold+styleOf(pr.status), head))
	at := slices.Clone(pr.subjects)
	if more := pr.n - len(pr.subjects); len(pr.subjects) == maxSubjects && more > 0 {
		at = append(at, plural(more, "more", "more"))
	}
	return at
}

func (s *textSink) brokenBlock(p *page, pr *problem) {
	p.line(p.paint(bold+styleOf(pr.status), mark(pr.status)+" could not look: "+clean(pr.shown.Reason)))
	p.field("at", s.probesOf(pr))
	if len(pr.ids) == 1 {
		if pr.n == 1 {
			p.field("", pr.shown.Subject)
		}
		p.evidence(pr.shown.Evidence)
	}
	pr.try(p)
}

// probesOf lists the probes of a problem in plan order, with their findings.
func (s *textSink) probesOf(pr *problem) string {
	ids := slices.SortedFunc(maps.Keys(pr.ids), s.order.compare)
	for i, id := range ids {
		if n := pr.ids[id]; n > 1 {
			ids[i] = id + " ×" + itoa(n)
		}
	}
	return strings.Join(ids, ", ")
}

// consequences counts what a failing probe blocks, once.
func (s *textSink) consequences(p *page, id string) {
	suites, ok := s.blocked[id]
	if !ok {
		return
	}
	delete(s.blocked, id)
	n, where := s.bySuite(suites)
	p.dim("    " + mark(probe.Blocked) + " " + plural(n, "more check is", "more checks are") + " blocked by this: " + where)
}

// orphans counts what is blocked by a finding that is not shown.
func (s *textSink) orphans(p *page) {
	for _, id := range slices.SortedFunc(maps.Keys(s.blocked), s.order.compare) {
		n, where := s.bySuite(s.blocked[id])
		p.dim(mark(probe.Blocked) + " " + plural(n, "check is", "checks are") + " blocked by " + clean(id) + ": " + where)
	}
	if len(s.blocked) > 0 {
		p.blank()
	}
}

func (s *textSink) bySuite(suites map[string]int) (n int, list string) {
	var parts []string
	for _, suite := range slices.SortedFunc(maps.Keys(suites), s.order.compareSuites) {
		n += suites[suite]
		parts = append(parts, suite+" "+itoa(suites[suite]))
	}
	return n, strings.Join(parts, ", ")
}

func idOf(blocker string) string {
	id, _, _ := strings.Cut(blocker, " ")
	return id
}
