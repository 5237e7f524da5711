// SPDX-License-Identifier: Apache-2.0

package suites

import (
	"fmt"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

// Explain is everything there is to know of a probe, for a person.
func Explain(p probe.Probe) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n  %s\n\n", p.ID, p.Title)
	fmt.Fprintf(&b, "what is looked at\n%s\n", wrapped(p.About))
	fmt.Fprintf(&b, "clause\n  %s (%s): %q\n", p.Clause, p.Clause.Level, p.Clause.Quote)
	if p.Clause.URL != "" {
		fmt.Fprintf(&b, "  %s\n", p.Clause.URL)
	}
	if len(p.Profiles) > 0 {
		fmt.Fprintf(&b, "\nprofiles\n  %s\n", strings.Join(p.Profiles, ", "))
	}
	if len(p.After) > 0 {
		fmt.Fprintf(&b, "\nblocked where one of these fails\n  %s\n", strings.Join(p.After, "\n  "))
	}
	if len(p.AfterTo) > 0 {
		fmt.Fprintf(&b, "\nblocked where one of these fails at the destination\n  %s\n", strings.Join(p.AfterTo, "\n  "))
	}
	b.WriteString("\ncauses\n")
	for _, c := range p.Causes {
		explainCause(&b, c)
	}
	return b.String()
}

// ExplainCause is everything there is to know of a cause, and which probes can
// name it. It is empty where no probe can.
func ExplainCause(code string) string {
	var b strings.Builder
	var by []string
	for _, p := range All() {
		for _, c := range p.Causes {
			if c.Code != code {
				continue
			}
			if len(by) == 0 {
				explainCause(&b, c)
			}
			by = append(by, p.ID)
		}
	}
	if len(by) == 0 {
		return ""
	}
	fmt.Fprintf(&b, "\nnamed by\n  %s\n", strings.Join(by, "\n  "))
	return b.String()
}

func explainCause(b *strings.Builder, c probe.Cause) {
	fmt.Fprintf(b, "  %s\n      %s\n", c.Code, c.Title)
	for _, try := range c.Try {
		fmt.Fprintf(b, "      try: %s\n", placeholders(try))
	}
}

// placeholders makes a hint's template readable: {{.Cluster}} is CLUSTER.
func placeholders(try string) string {
	parts := strings.Split(try, "{{.")
	for i, part := range parts[1:] {
		name, rest, ok := strings.Cut(part, "}}")
		if ok {
			parts[i+1] = strings.ToUpper(name) + rest
		}
	}
	return strings.Join(parts, "")
}

// wrapped is a paragraph at 78 columns, indented.
func wrapped(text string) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		switch {
		case column == 0:
			b.WriteString("  ")
			column = 2
		case column+1+len(word) > 78:
			b.WriteString("\n  ")
			column = 2
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String() + "\n"
}
