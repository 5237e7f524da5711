// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

type rootFlags struct{}

func (f *rootFlags) add(cmd *cobra.Command) {}

type federation struct{}

func (f *rootFlags) federation(t cluster.Topology) (*federation, error) { return &federation{}, nil }

func (f *federation) apply(ctx context.Context, set *cluster.Set, events cluster.Events) error {
	return nil
}

func (c *cli) federateCommand() *cobra.Command { return &cobra.Command{Use: "federate"} }
