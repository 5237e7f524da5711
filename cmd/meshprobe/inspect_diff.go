// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/probe"
	judged "github.com/meshprobe/meshprobe/suites/material"
)

func (c *cli) inspectDiffCommand() *cobra.Command {
	f := &inspectFlags{}
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Say whether two sides trust each other: two bundles, CAs or dumps",
		Long: `diff compares what two sides trust, by key: which roots they share, which they
do not, and which bear one name with two keys. It says whether a workload of
each side would be accepted by the verifiers of the other, and why not. A and B
are anything that inspect reads: two bundles, two cacerts, two dumps.`,
		Example: `  meshprobe inspect diff east/ west/
  meshprobe inspect diff east-cacerts.yaml west-root-cert.pem -o json`,
		Args: exactArgs(2, "two sources, A and B"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.inspectDiff(cmd.Context(), f, args[0], args[1])
		},
	}
	f.add(cmd)
	return cmd
}

// inspectDiff reads two sources and lets each judge the other.
func (c *cli) inspectDiff(ctx context.Context, f *inspectFlags, a, b string) error {
	switch {
	case a == "-" && b == "-":
		return &usageError{msg: "both sides are standard input", hint: "write one of them to a file"}
	case f.chosen("against") || f.chosen("trust-bundle"):
		return &usageError{msg: "diff takes no bundle: each side is judged by the other", hint: "leave --against out"}
	}
	q, err := f.question(ctx, c, a)
	if err != nil {
		return err
	}
	pair := judged.Pair{Question: q}
	for _, side := range []struct {
		source string
		into   *judged.Side
	}{{a, &pair.A}, {b, &pair.B}} {
		docs, err := c.read(ctx, side.source, "")
		if err != nil {
			return err
		}
		*side.into = judged.SideOf(side.source, judged.Ask(docs, q))
	}
	subjects := []probe.Subject{judged.PairSubject{Pair: pair}}
	return c.examine(ctx, f, "inspect diff", judged.Compares(), slices.Values(subjects))
}
