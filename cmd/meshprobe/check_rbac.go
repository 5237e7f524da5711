// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/cluster/live"
)

// rbacFlags print what a check needs to be allowed.
type rbacFlags struct{ asked bool }

func (f *rbacFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.asked, "print-rbac", false, "print the least that a check must be allowed, as manifests, and do nothing else")
}

func (f *rbacFlags) write(w io.Writer, agent bool) error {
	text, err := live.RBAC(agent)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprint(w, text); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}
