// SPDX-License-Identifier: Apache-2.0

package suites

import (
	"fmt"
	"slices"
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
	for _, v := range variants(code) {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		explainCause(&b, v.cause)
		fmt.Fprintf(&b, "\n  named by\n    %s\n", strings.Join(v.by, "\n    "))
	}
	return b.String()
}

// variant is what a cause means to some probes: one state of the world may look
// different, and be mended differently, from different sides.
type variant struct {
	cause probe.Cause
	by    []string // IDs of probes
}

// variants are what a cause means, in report order.
func variants(code string) []variant {
	var all []variant
	for _, p := range All() {
		for _, c := range p.Causes {
			if c.Code != code {
				continue
			}
			i := slices.IndexFunc(all, func(v variant) bool { return v.cause.Title == c.Title && slices.Equal(v.cause.Try, c.Try) })
			if i < 0 {
				i, all = len(all), append(all, variant{cause: c})
			}
			all[i].by = append(all[i].by, p.ID)
		}
	}
	return all
}

func explainCause(b *strings.Builder, c probe.Cause) {
	fmt.Fprintf(b, "  %s\n      %s\n", c.Code, c.Title)
	for _, try := range c.Try {
		fmt.Fprintf(b, "      try: %s\n", placeholders(try))
	}
}

// placeholders makes a hint's template readable: {{.Cluster}} is CLUSTER. How
// certificates are renewed depends on the data plane; a sidecar's way stands for
// both.
func placeholders(try string) string {
	try = strings.ReplaceAll(try, "{{.Restart}}", "-n {{.Namespace}} rollout restart deployment")
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
	for word := range strings.FieldsSeq(text) {
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
