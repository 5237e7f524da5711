// SPDX-License-Identifier: Apache-2.0

package report

import (
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

// maxNames is how many clusters are called by name in a sentence.
const maxNames = 4

func (s *textSink) header(p *page) {
	left := clean(strings.TrimSpace("meshprobe " + s.run.Version))
	rest := clean(strings.Join(filled(s.run.Provider, prefixed("profile ", s.run.Profile), s.clusters()), " · "))
	lines := wrap(rest, p.width-runes(left)-3)
	p.line(p.paint(bold, left), "   ", lines[0])
	for _, l := range lines[1:] {
		p.line(strings.Repeat(" ", runes(left)+3), l)
	}
}

// clusters names the clusters with their trust domains.
func (s *textSink) clusters() string {
	var names, domains []string
	for _, c := range s.run.Clusters {
		if c.Name == "" {
			continue // a set-up that died before it was found
		}
		names = append(names, c.Name)
		domains = append(domains, c.TrustDomain)
	}
	if len(names) == 0 {
		return ""
	}
	if len(slices.Compact(slices.Sorted(slices.Values(domains)))) == 1 {
		return list(names) + prefixed(" in trust domain ", domains[0])
	}
	for i := range names {
		names[i] += " (" + domains[i] + ")"
	}
	return list(names)
}

// passes counts what holds beside what does not, if anything does.
func (s *textSink) passes(p *page) bool {
	suites := map[string]int{}
	for _, c := range s.checks {
		if c.pass > 0 {
			suites[suiteOf(c.id)] += c.pass
		}
	}
	n, where := s.bySuite(suites)
	if n > 0 {
		p.line(p.paint(green, mark(probe.Pass)), " ", plural(n, "check passes", "checks pass"), ": ", where)
	}
	return n > 0
}

// skips says what was left out, and why, if anything was.
func (s *textSink) skips(p *page, problems []*problem) bool {
	n := 0
	for _, pr := range problems {
		if pr.status == probe.Skip {
			p.dim(mark(probe.Skip) + " skipped, " + pr.shown.Reason + ": " + s.probesOf(pr))
			for _, h := range pr.hints {
				p.dim("  → " + h.text)
			}
			n++
		}
	}
	if n > 0 {
		p.blank()
	}
	return n > 0
}

func (s *textSink) summary(p *page) {
	status, sentence := s.conclusion()
	for i, l := range wrap(clean(sentence), p.width-2) {
		head := "  "
		if i == 0 {
			head = mark(status) + " "
		}
		p.line(p.paint(bold+styleOf(status), head+l))
	}
	s.counts(p, "")
}

// counts is the last line: the verdict and what it rests on.
func (s *textSink) counts(p *page, lead string) {
	var counts []string
	for _, st := range probe.Statuses() {
		if n := s.done.Counts[st]; n > 0 {
			counts = append(counts, itoa(n)+" "+st.String())
		}
	}
	if len(counts) == 0 {
		counts = []string{"nothing was checked"}
	}
	line := string(s.done.Verdict) + ": " + strings.Join(counts, ", ") + " in " + elapsed(s.done.Duration) +
		"; exit " + itoa(exitStatus(s.done.Verdict))
	if s.done.Unknown > 0 {
		line += "; " + plural(s.done.Unknown, "cause is", "causes are") + " unknown to meshprobe"
	}
	if lead == "" {
		p.line("  ", line)
	} else {
		p.line(p.paint(bold+styleOf(s.status()), lead), " ", line)
	}
	if len(s.opts.Files) > 0 {
		p.line("  wrote ", clean(strings.Join(s.opts.Files, ", ")))
	}
}

// conclusion says in a sentence what the run proved.
func (s *textSink) conclusion() (probe.Status, string) {
	n := s.done.Counts
	switch s.done.Verdict {
	case probe.Conformant:
		return probe.Pass, s.proof()
	case probe.Partial:
		return probe.Pass, s.proof() + ", as far as meshprobe may look"
	case probe.Nonconformant:
		return probe.Fail, s.blame()
	default:
		if n[probe.Broken] > 0 {
			return probe.Broken, "nobody knows yet: meshprobe could not look at " + plural(n[probe.Broken], "thing", "things")
		}
		return probe.Broken, "nobody knows yet: no handshake could be tried in some direction"
	}
}

// proof names the clusters only where an edge held in every direction.
func (s *textSink) proof() string {
	names := make([]string, len(s.run.Clusters))
	for i, c := range s.run.Clusters {
		names[i] = c.Name
	}
	all := len(names) * (len(names) - 1)
	held := 0
	for key, ok := range s.opened {
		if ok && key[0] != key[1] {
			held++
		}
	}
	const holds = "every check that was asked for holds"
	switch {
	case all == 0 || held == 0:
		return holds
	case held < all && len(names) == 2:
		if !s.opened[[2]string{names[0], names[1]}] {
			slices.Reverse(names)
		}
		return holds + ": " + names[0] + " opened mutual TLS to " + names[1] + "; no call the other way was tried"
	case held < all:
		return holds + ": mutual TLS was opened in " + itoa(held) + " of " + itoa(all) + " directions, and no call was tried in the others"
	case len(names) == 2:
		return list(names) + " trust each other: their workloads opened mutual TLS both ways"
	default:
		return list(names) + " trust each other: their workloads opened mutual TLS in all " + itoa(all) + " directions"
	}
}

func (s *textSink) blame() string {
	problems := 0
	for _, pr := range s.problems {
		if pr.status == probe.Fail {
			problems++
		}
	}
	n := s.done.Counts
	if problems == 0 {
		return "warnings count as failures in this run: " + plural(n[probe.Warn], "warning", "warnings") + " above"
	}
	sentence := plural(problems, "problem", "problems") + " to fix, at the top"
	if b := n[probe.Blocked]; b > 0 {
		sentence += "; " + plural(b, "check waits", "checks wait") + " for a fix"
	}
	return sentence
}

// exitStatus follows the contract of the CLI.
func exitStatus(v probe.Verdict) int {
	return probe.Summary{RunDone: probe.RunDone{Verdict: v}}.ExitStatus()
}

// list is "east and west", or the first few of many.
func list(names []string) string {
	switch n := len(names); {
	case n == 1:
		return names[0]
	case n <= maxNames:
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	default:
		return strings.Join(names[:maxNames], ", ") + " and " + itoa(n-maxNames) + " more clusters"
	}
}

func filled(parts ...string) []string {
	return slices.DeleteFunc(parts, func(s string) bool { return s == "" })
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

// unit names what a subject is, in the singular.
func (p places) unit(subject string) string {
	if subject == (probe.Mesh{}).String() {
		return "mesh"
	}
	from, arrow, to := sides(subject)
	_, a := p[from]
	_, b := p[to]
	switch {
	case arrow == arrowBoth:
		return "pair"
	case arrow == arrowTo && a && b:
		return "direction"
	case arrow == arrowTo:
		return "edge"
	case a:
		return "cluster"
	case strings.Contains(from, "/"):
		return "workload"
	default:
		return "check"
	}
}
