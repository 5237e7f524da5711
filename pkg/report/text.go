// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

// Widths and heights of text.
const (
	defaultWidth = 100
	minWidth     = 60
	screen       = 40 // lines that a healthy run must not exceed
)

// textSink is what a person reads. Failures come first, so nothing is written
// before Close; until then it keeps one problem per probe and cause, and
// counts the rest.
type textSink struct {
	w        io.Writer
	opts     Options
	run      probe.RunStarted
	places   places
	order    planOrder
	checks   map[string]*checked
	problems map[problemKey]*problem
	blocked  map[string]map[string]int // by ID of the blocker and suite of the blocked
	opened   map[[2]string]bool        // directions over edges: false where one did not hold
	gallery  gallery
	done     probe.RunDone
	begun    bool
	lost     error // of a line that was to be written at once
}

// checked is what passed of one probe.
type checked struct {
	id, title string
	pass      int
	subjects  int // distinct among neighbours
	last      string
	unit      string
	slowest   time.Duration
	other     bool // something of it did not pass
}

var _ probe.Sink = (*textSink)(nil)

func newText(w io.Writer, opts Options) *textSink {
	if opts.Width == 0 {
		opts.Width = defaultWidth
	}
	opts.Width = max(opts.Width, minWidth)
	return &textSink{
		w: w, opts: opts, order: orderOf(nil),
		checks: map[string]*checked{}, problems: map[problemKey]*problem{},
		blocked: map[string]map[string]int{}, opened: map[[2]string]bool{},
		done: probe.RunDone{Verdict: probe.Inconclusive, Counts: map[probe.Status]int{}},
	}
}

func (s *textSink) Emit(e probe.Event) error {
	switch e := e.(type) {
	case probe.RunStarted:
		e.Version = cmp.Or(e.Version, s.opts.Version)
		s.run, s.places, s.order, s.begun = e, placesOf(e.Clusters), orderOf(e.Planned), true
	case probe.Exhibit:
		s.begun = true
		s.exhibit(e)
	case probe.FindingDone:
		s.begun = true
		s.finding(&e.Finding)
	case probe.RunDone:
		s.done, s.begun = e, true
	}
	return s.lost
}

// exhibit keeps a page, or writes the lines whose turn it is.
func (s *textSink) exhibit(e probe.Exhibit) {
	if !s.opts.Lines {
		s.gallery.add(e)
		return
	}
	p := &page{width: s.opts.Width, color: s.opts.Color}
	if s.gallery.n == 0 {
		s.started(p)
	}
	s.gallery.line(e, func(l string) { p.drawn(l, "") })
	s.write(p.b)
}

func (s *textSink) write(b []byte) {
	if s.lost == nil && len(b) > 0 {
		_, s.lost = s.w.Write(b)
	}
}

func (s *textSink) finding(f *probe.Finding) {
	c, ok := s.checks[f.ID]
	if !ok {
		c = &checked{id: f.ID, title: f.Title}
		s.checks[f.ID] = c
	}
	s.direction(f)
	switch f.Status {
	case probe.Pass:
		s.passed(c, f)
		return
	case probe.Blocked:
		s.blockedBy(f)
	default:
		s.problem(f)
	}
	c.other = c.other || f.Status != probe.Skip
}

func (s *textSink) passed(c *checked, f *probe.Finding) {
	c.pass++
	c.slowest = max(c.slowest, f.Duration)
	if f.Subject == c.last && c.subjects > 0 {
		return
	}
	unit := s.places.unit(f.Subject)
	if c.subjects > 0 && unit != c.unit {
		unit = "check"
	}
	c.unit, c.last = unit, f.Subject
	c.subjects++
}

// direction notes between which clusters an edge held. Only an edge leads from
// workload to workload, and nothing of an edge is known without opening it.
func (s *textSink) direction(f *probe.Finding) {
	from, arrow, to := sides(f.Subject)
	if arrow != arrowTo || s.places.unit(f.Subject) != "edge" {
		return
	}
	key := [2]string{s.places.cluster(from), s.places.cluster(to)}
	switch f.Status {
	case probe.Pass:
		if _, seen := s.opened[key]; !seen {
			s.opened[key] = true
		}
	case probe.Skip, probe.Note, probe.Warn:
	default:
		s.opened[key] = false
	}
}

func (s *textSink) blockedBy(f *probe.Finding) {
	id := idOf(f.BlockedBy)
	if s.blocked[id] == nil {
		s.blocked[id] = map[string]int{}
	}
	s.blocked[id][suiteOf(f.ID)]++
}

// Close writes the report.
func (s *textSink) Close() error {
	if !s.begun {
		return nil
	}
	s.write(s.render())
	return s.lost
}

func (s *textSink) render() []byte {
	p := &page{width: s.opts.Width, color: s.opts.Color}
	problems := s.sorted()
	if s.gallery.n > 0 {
		return s.renderExhibits(p, problems)
	}
	s.header(p)
	p.blank()
	for _, pr := range problems {
		s.block(p, pr)
	}
	s.orphans(p)
	end := &page{width: p.width, color: p.color}
	skipped := s.skips(end, problems)
	s.summary(end)
	if s.failed() {
		if s.passes(p) && !skipped {
			p.blank()
		}
	} else {
		s.table(p, screen-p.lines-end.lines)
	}
	return append(p.b, end.b...)
}

// failed says whether what is wrong matters more than what holds.
func (s *textSink) failed() bool {
	n := s.done.Counts
	return n[probe.Fail]+n[probe.Blocked]+n[probe.Broken] > 0 || s.done.Verdict == probe.Nonconformant
}

// checkedProbes are the probes that had findings, in plan order.
func (s *textSink) checkedProbes() []*checked {
	return slices.SortedFunc(maps.Values(s.checks), func(a, b *checked) int { return s.order.compare(a.id, b.id) })
}
