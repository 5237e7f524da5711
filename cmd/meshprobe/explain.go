// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/suites"
)

func (c *cli) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain ID",
		Short: "Say what a probe looks at, which clause asks for it, and how to fix what it finds",
		Long: `explain prints everything there is to know of a probe: what it looks at, the
clause that it holds the mesh to, and every cause that it can name with the
steps that mend it. ID is a probe (trust/shared-root) or a cause
(root-mismatch-same-dn).`,
		Example: "  meshprobe explain trust/shared-root",
		Args:    exactArgs(1, "the ID of one probe or cause"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return explainable(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error { return c.explain(args[0]) },
	}
}

// explainable lists what explain knows: probes, then causes.
func explainable() []string {
	var probes, causes []string
	for _, p := range suites.All() {
		probes = append(probes, p.ID)
		for _, cause := range p.Causes {
			causes = append(causes, cause.Code)
		}
	}
	slices.Sort(causes)
	return append(probes, slices.Compact(causes)...)
}

func (c *cli) explain(id string) error {
	for _, p := range suites.All() {
		if p.ID == id {
			_, err := fmt.Fprint(c.Out, suites.Explain(p))
			return err
		}
	}
	if text := suites.ExplainCause(id); text != "" {
		_, err := fmt.Fprint(c.Out, text)
		return err
	}
	return &usageError{msg: fmt.Sprintf("there is no probe or cause %q", id), hint: fmt.Sprintf("did you mean %q?", closest(id, explainable()))}
}

// closest prefers what contains the word to what is spelled like it.
func closest(word string, candidates []string) string {
	for _, c := range candidates {
		if word != "" && strings.Contains(c, word) {
			return c
		}
	}
	near, _ := cluster.Nearest(word, candidates)
	return near
}
