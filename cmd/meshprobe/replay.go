// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites"
)

func (c *cli) replayCommand() *cobra.Command {
	var sel selectionFlags
	var out outputFlags
	cmd := &cobra.Command{
		Use:   "replay DIR",
		Short: "Judge a recorded run again, without any network",
		Long: `replay reads the observations that run --record DIR wrote and judges them
with the probes of this version. Where the probes are the same, so is the
report, times aside.`,
		Example: "  meshprobe replay record-dir",
		Args:    exactArgs(1, "one record directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.replay(cmd.Context(), args[0], sel, out, cmd.Flags().Changed("profile"))
		},
	}
	sel.add(cmd)
	out.add(cmd)
	return cmd
}

func (c *cli) replay(ctx context.Context, dir string, sel selectionFlags, out outputFlags, chosen bool) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return &usageError{msg: fmt.Sprintf("%s is no directory", dir), hint: "record one with: meshprobe run --record record-dir"}
	}
	record, err := probe.ReadRecord(os.DirFS(dir))
	if err != nil {
		return &usageError{msg: fmt.Sprintf("%s: %v", dir, err), hint: "record one with: meshprobe run --record record-dir"}
	}
	if !chosen && record.Start.Profile != "" {
		sel.profile = record.Start.Profile
	}
	plan, err := sel.plan(suites.All())
	if err != nil {
		return err
	}
	sink, err := c.sinks(out)
	if err != nil {
		return err
	}
	runner := &probe.Runner{Sink: sink, Strict: sel.strict}
	summary, err := runner.Replay(ctx, record, plan)
	return c.finish(ctx, summary, errors.Join(err, sink.Close()))
}
