// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

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
		return &usageError{msg: fmt.Sprintf("there is no directory %q", dir), hint: "record one with: meshprobe run --record record-dir"}
	}
	record, err := probe.ReadRecord(os.DirFS(dir))
	if err != nil {
		return &usageError{msg: fmt.Sprintf("%q: %s", dir, strings.TrimPrefix(err.Error(), "probe: ")), hint: "record one with: meshprobe run --record record-dir"}
	}
	if !chosen && record.Start.Profile != "" {
		sel.profile = record.Start.Profile
	}
	// What the recorded run did not look at is left out, so that the verdict
	// can be partial at most.
	known := 0
	for _, p := range suites.All() {
		if record.Has(p.ObservationName()) {
			known++
		} else {
			sel.skip = append(sel.skip, p.ID)
		}
	}
	if known == 0 {
		return &usageError{msg: fmt.Sprintf("%q holds no observation: its run ended before the first", dir), hint: "record one with: meshprobe run --record record-dir"}
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
