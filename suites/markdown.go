// SPDX-License-Identifier: Apache-2.0

package suites

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

//go:generate go test -count=1 -run TestProbesDocument . -args -update

// Markdown writes what Explain says of every probe, and every cause that they
// can name, as one document: docs/PROBES.md. Every probe and every cause has an
// anchor, its ID with hyphens for slashes.
func Markdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`# Probes

<!-- Generated from the probes by: make generate -->

What meshprobe looks at, in report order. ` + "`meshprobe explain ID`" + ` prints the same of one
probe or cause. A violated *must* is a failure, a violated *should* a warning, a violated *may* a
note.

`)
	contents(&b)
	for _, p := range All() {
		describe(&b, p)
	}
	b.WriteString("## Causes\n\nWhat a finding can name as its reason, with the steps that mend it.\n")
	for _, code := range causes() {
		describeCause(&b, code)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// contents is a table of the probes.
func contents(b *strings.Builder) {
	b.WriteString("| probe | level | the healthy fact |\n| --- | --- | --- |\n")
	for _, p := range All() {
		fmt.Fprintf(b, "| %s | %s | %s |\n", link(p.ID, Anchor), p.Clause.Level, p.Title)
	}
	b.WriteByte('\n')
}

// describe is the section of one probe.
func describe(b *strings.Builder, p probe.Probe) {
	fmt.Fprintf(b, "## %s\n\n<a id=%q></a>*%s*\n\n%s\n\n", p.ID, Anchor(p.ID), p.Title, p.About)
	fmt.Fprintf(b, "- clause: %s (%s), “%s”\n", clause(p), p.Clause.Level, p.Clause.Quote)
	if len(p.Profiles) > 0 {
		fmt.Fprintf(b, "- only in the profiles: %s\n", strings.Join(p.Profiles, ", "))
	}
	if len(p.After) > 0 {
		fmt.Fprintf(b, "- blocked where one of these fails: %s\n", links(p.After, Anchor))
	}
	if len(p.AfterTo) > 0 {
		fmt.Fprintf(b, "- blocked where one of these fails at the destination: %s\n", links(p.AfterTo, Anchor))
	}
	codes := make([]string, len(p.Causes))
	for i, c := range p.Causes {
		codes[i] = c.Code
	}
	fmt.Fprintf(b, "- causes: %s\n\n", links(codes, CauseAnchor))
}

func clause(p probe.Probe) string {
	if p.Clause.URL == "" {
		return p.Clause.String()
	}
	return "[" + p.Clause.String() + "](" + p.Clause.URL + ")"
}

// causes are the codes that the probes can name, each once.
func causes() []string {
	codes := map[string]bool{}
	for _, p := range All() {
		for _, c := range p.Causes {
			codes[c.Code] = true
		}
	}
	return slices.Sorted(maps.Keys(codes))
}

func describeCause(b *strings.Builder, code string) {
	fmt.Fprintf(b, "\n### %s\n\n<a id=%q></a>", code, CauseAnchor(code))
	for i, v := range variants(code) {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(b, "%s.\nNamed by %s.\n", capital(v.cause.Title), links(v.by, Anchor))
		if len(v.cause.Try) > 0 {
			b.WriteString("\n```text\n")
			for _, try := range v.cause.Try {
				fmt.Fprintln(b, placeholders(try))
			}
			b.WriteString("```\n")
		}
	}
}

// Anchor is where docs/PROBES.md tells of a probe.
func Anchor(id string) string { return strings.ReplaceAll(id, "/", "-") }

// CauseAnchor is where docs/PROBES.md tells of a cause.
func CauseAnchor(code string) string { return "cause-" + code }

func link(id string, anchor func(string) string) string { return "[" + id + "](#" + anchor(id) + ")" }

func links(ids []string, anchor func(string) string) string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = link(id, anchor)
	}
	return strings.Join(out, ", ")
}

// capital begins a sentence, unless its first word is a name in lower case.
func capital(s string) string {
	word, _, _ := strings.Cut(s, " ")
	if s == "" || slices.Contains([]string{"istiod", "istio-system", "cacerts", "ztunnel"}, strings.TrimSuffix(word, ",")) {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
