// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
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
	out.conformance.add(cmd)
	return cmd
}

func (c *cli) replay(ctx context.Context, dir string, sel selectionFlags, out outputFlags, chosen bool) error {
	if !chosen {
		sel.profile = ""
	}
	record, plan, err := recorded(dir, sel)
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

// recorded reads a record and plans to judge it again; without a profile, with
// that of the recorded run.
func recorded(dir string, sel selectionFlags) (*probe.Record, probe.Plan, error) {
	const hint = "record one with: meshprobe run --record record-dir"
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, probe.Plan{}, &usageError{msg: fmt.Sprintf("there is no directory %q", dir), hint: hint}
	}
	record, err := probe.ReadRecord(os.DirFS(dir))
	if err != nil {
		return nil, probe.Plan{}, &usageError{msg: fmt.Sprintf("%q: %s", dir, strings.TrimPrefix(err.Error(), "probe: ")), hint: hint}
	}
	sel.profile = cmp.Or(sel.profile, record.Start.Profile, probe.Istio.Name)
	// What the recorded run did not look at is left out, so that the verdict
	// can be partial at most.
	known := 0
	candidates := replayable(record)
	for _, p := range candidates {
		if record.Has(p.ObservationName()) {
			known++
		} else {
			sel.skip = append(sel.skip, p.ID)
		}
	}
	if known == 0 {
		return nil, probe.Plan{}, &usageError{msg: fmt.Sprintf("%q holds no observation: its run ended before the first", dir), hint: hint}
	}
	plan, err := sel.plan(candidates)
	return record, plan, err
}

// replayable is the probes of the command that made a record: those of a mesh,
// or, where none of them was looked at, those that were planned.
func replayable(record *probe.Record) []probe.Probe {
	mesh := suites.Mesh()
	if len(record.Start.Planned) == 0 || slices.ContainsFunc(mesh, func(p probe.Probe) bool { return record.Has(p.ObservationName()) }) {
		return mesh
	}
	return slices.DeleteFunc(suites.All(), func(p probe.Probe) bool {
		return !slices.ContainsFunc(record.Start.Planned, func(planned probe.Planned) bool { return planned.ID == p.ID })
	})
}
