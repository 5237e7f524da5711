// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/fault"
)

// faultFlags break the mesh after it was federated.
type faultFlags struct{ names []string }

func (f *faultFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.names, "fault", nil,
		"break the mesh in one named way after federation, `NAME[=CLUSTER]` (the last cluster unless said; embedded only; repeatable); see: meshprobe list faults")
}

// orders reads the faults and the clusters that they are to hit.
func (f *faultFlags) orders(provider string, t cluster.Topology) ([]fault.Order, error) {
	if len(f.names) > 0 && provider != embedded.Name {
		return nil, &usageError{msg: "--fault breaks embedded clusters only", hint: "leave out --provider " + provider}
	}
	var orders []fault.Order
	for _, name := range f.names {
		o, err := fault.Parse(name)
		if err == nil {
			err = o.Check(t)
		}
		if ue, ok := errors.AsType[*fault.UsageError](err); ok {
			return nil, &usageError{msg: "--fault: " + ue.Msg, hint: ue.Hint}
		}
		if err != nil {
			return nil, err
		}
		orders = append(orders, o)
	}
	return orders, nil
}

// breakMesh applies the faults in the order in which they were given.
func breakMesh(ctx context.Context, set *cluster.Set, orders []fault.Order) error {
	for _, o := range orders {
		if err := o.Apply(ctx, set); err != nil {
			return err
		}
	}
	return nil
}

// faultsCommand is meshprobe list faults.
func (c *cli) faultsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "faults", Short: "List the ways in which run --fault breaks the embedded mesh",
		Example: "  meshprobe list faults\n  meshprobe run --fault root-mismatch-same-dn=west",
		Args:    exactArgs(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
			for _, f := range fault.All() {
				if _, err := fmt.Fprintf(w, "%s\t%s\n", f.Name, f.Title); err != nil {
					return err
				}
			}
			return w.Flush()
		},
	}
}
