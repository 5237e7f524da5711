// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/meshprobe/meshprobe/pkg/cluster/live"
)

// addRunLive adds what only --provider live takes.
func addRunLive(cmd *cobra.Command) {
	cmd.Flags().StringSlice("contexts", nil, "kubeconfig `CONTEXTS` of the clusters of --provider live, separated by commas")
}

// runLive is check by another name: clusters that run are neither made nor
// federated. Whatever flag check does not have is refused.
func (c *cli) runLive(cmd *cobra.Command) error {
	check := c.checkCommand()
	var err error
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if err == nil && flag.Name != "provider" {
			err = handOn(check.Flags(), flag)
		}
	})
	if err != nil {
		return err
	}
	check.SetContext(cmd.Context())
	return check.RunE(check, nil)
}

// handOn sets the flag of the same name.
func handOn(to *pflag.FlagSet, flag *pflag.Flag) error {
	if to.Lookup(flag.Name) == nil {
		return &usageError{
			msg:  fmt.Sprintf("--%s is for clusters that are made or federated, the provider is %s", flag.Name, live.Name),
			hint: "leave it out; see: meshprobe check --help",
		}
	}
	values := []string{flag.Value.String()}
	if several, ok := flag.Value.(pflag.SliceValue); ok {
		values = several.GetSlice()
	}
	for _, v := range values {
		if err := to.Set(flag.Name, v); err != nil {
			return &usageError{msg: fmt.Sprintf("--%s %s: %v", flag.Name, v, err), hint: "see: meshprobe check --help"}
		}
	}
	return nil
}
