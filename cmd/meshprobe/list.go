// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites"
)

func (c *cli) listCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List probes, profiles or faults without running anything",
		Example: "  meshprobe list probes",
		Args:    c.noSubcommand,
		RunE: func(*cobra.Command, []string) error {
			return &usageError{msg: "list what?", hint: "meshprobe list probes, meshprobe list profiles, or meshprobe list faults"}
		},
	}
	var sel selectionFlags
	probes := &cobra.Command{
		Use: "probes", Short: "List the probes of a profile in report order",
		Example: "  meshprobe list probes --profile ambient",
		Args:    exactArgs(0, "no arguments"),
		RunE:    func(*cobra.Command, []string) error { return c.listProbes(sel) },
	}
	sel.add(probes)
	profiles := &cobra.Command{
		Use: "profiles", Short: "List the profiles, the default first",
		Example: "  meshprobe list profiles",
		Args:    exactArgs(0, "no arguments"),
		RunE:    func(*cobra.Command, []string) error { return c.listProfiles() },
	}
	cmd.AddCommand(probes, profiles, c.faultsCommand())
	return cmd
}

func (c *cli) listProbes(sel selectionFlags) error {
	plan, err := sel.plan(suites.All())
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	for _, p := range plan.Probes {
		if _, err := fmt.Fprintf(w, "%s\t%s\t%s\n", p.ID, p.Clause.Level, p.Title); err != nil {
			return err
		}
	}
	return w.Flush()
}

func (c *cli) listProfiles() error {
	w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	for _, p := range probe.Profiles() {
		if _, err := fmt.Fprintf(w, "%s\t%s\n", p.Name, p.Title); err != nil {
			return err
		}
	}
	return w.Flush()
}
