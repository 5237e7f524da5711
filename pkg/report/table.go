// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

// Columns of the table, beside the title; those at the right are bare numbers
// or left out where they would cost more than they tell.
const (
	suiteColumn   = 11
	unitColumn    = 14
	narrowColumn  = 4
	elapsedColumn = 7
	roomy         = 90 // columns from which on all of the table is shown
)

// table writes one line per probe that holds, grouped by suite. Where they do
// not fit in lines, whole suites shrink to one line, from the top: what the
// later ones look at stands on it.
func (s *textSink) table(p *page, lines int) {
	var suites [][]*checked
	rows := 0
	for _, c := range s.checkedProbes() {
		if c.pass == 0 || c.other {
			continue
		}
		if n := len(suites); n > 0 && suiteOf(suites[n-1][0].id) == suiteOf(c.id) {
			suites[n-1] = append(suites[n-1], c)
		} else {
			suites = append(suites, []*checked{c})
		}
		rows++
	}
	for _, suite := range suites {
		if short := p.fold(suite); rows >= lines && len(short) < len(suite) {
			rows -= len(suite) - len(short)
			suite = short
		}
		name := suiteOf(suite[0].id)
		for _, c := range suite {
			p.row(name, c)
			name = ""
		}
	}
	if rows > 0 {
		p.blank()
	}
}

// fold sums a suite up: one row, and its names run on below.
func (p *page) fold(suite []*checked) []*checked {
	sum := checked{id: suite[0].id, unit: "check"}
	var names []string
	for _, c := range suite {
		_, name, _ := strings.Cut(c.id, "/")
		names = append(names, name)
		sum.subjects += c.pass
		sum.slowest = max(sum.slowest, c.slowest)
	}
	var rows []*checked
	for _, l := range wrap(plural(len(suite), "probe", "probes")+": "+strings.Join(names, ", "), p.titleColumn()) {
		rows = append(rows, &checked{id: sum.id, title: l})
	}
	sum.title = rows[0].title
	rows[0] = &sum
	return rows
}

func (p *page) titleColumn() int {
	right := narrowColumn
	if p.width >= roomy {
		right = unitColumn + elapsedColumn
	}
	return p.width - suiteColumn - 2 - right - 2
}

// row writes one line of the table; without subjects it continues the one
// above.
func (p *page) row(suite string, c *checked) {
	room := p.titleColumn()
	title := clip(clean(c.title), room)
	head := p.paint(bold, fmt.Sprintf("%-*s", suiteColumn, clip(clean(suite), suiteColumn-1)))
	if c.subjects == 0 {
		p.line(strings.Repeat(" ", suiteColumn+2), title)
		return
	}
	p.line(head, p.paint(green, mark(probe.Pass)), " ", title, strings.Repeat(" ", room-runes(title)+2),
		p.paint(faint, p.right(c)))
}

// right is what the table says of a probe at the right: on how many subjects
// it holds, and how long the slowest took.
func (p *page) right(c *checked) string {
	if p.width < roomy {
		return fmt.Sprintf("%*d", narrowColumn, c.subjects)
	}
	unit := fmt.Sprintf("%3d %s", c.subjects, c.unit)
	if c.subjects != 1 {
		unit += "s"
	}
	if c.unit == "mesh" {
		unit = "    mesh"
	}
	return fmt.Sprintf("%-*s%*s", unitColumn, unit, elapsedColumn, elapsed(c.slowest))
}
