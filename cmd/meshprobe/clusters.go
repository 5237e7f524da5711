// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/kind"
	"github.com/meshprobe/meshprobe/pkg/report"
)

// defaultMesh is the name of what clusters create makes.
const defaultMesh = "mesh"

func (c *cli) clustersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "clusters",
		Short: "Create, list or delete clusters in Docker for run --provider kind",
		Long: `clusters makes the clusters of a topology with kind: real Kubernetes, real
istiod, real Envoys, in Docker containers of this machine. They are not
federated. run --provider kind --reuse NAME works on them as often as wanted,
which saves the minute that making them takes.`,
		Example: "  meshprobe clusters create\n  meshprobe clusters list\n  meshprobe clusters delete --all",
		Args:    c.noSubcommand,
		RunE: func(*cobra.Command, []string) error {
			return &usageError{msg: "clusters needs a verb", hint: "meshprobe clusters create, list or delete"}
		},
	}
	cmd.AddCommand(c.clustersCreate(), c.clustersList(), c.clustersDelete())
	return cmd
}

func (c *cli) clustersCreate() *cobra.Command {
	var clusters clusterFlags
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create the clusters of a topology, with Istio and workloads",
		Long: `create makes the clusters of a topology side by side, installs Istio with the
istioctl that it finds, both east-west gateways and the workloads, and writes
their contexts to the kubeconfig. It needs Docker with about 700 MiB of memory
and 2 GiB of disk for each cluster, and istioctl 1.27 or later; node image and
Istio's images are pulled as kind and istioctl name them. What was made is
removed again when something fails or on an interrupt; what a set-up leaves
that was killed, clusters list shows and clusters delete --all removes.`,
		Example: "  meshprobe clusters create\n  meshprobe clusters create --name three --clusters 3\n  meshprobe clusters create --name planes --topology docs/topologies/dataplanes.yaml",
		Args:    nameIsAFlag,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.create(cmd.Context(), clusters)
		},
	}
	clusters.addTopology(cmd)
	clusters.kind.addSetUp(cmd)
	cmd.Flags().StringVar(&clusters.kind.name, "name", defaultMesh, "`NAME` of the mesh, by which it is reused and deleted")
	return cmd
}

// nameIsAFlag refuses what looks like the name of a mesh, which delete takes as
// an argument.
func nameIsAFlag(cmd *cobra.Command, args []string) error {
	if len(args) == 1 && kind.CheckName(args[0]) == nil {
		return &usageError{msg: fmt.Sprintf("%s takes no arguments, got %q", cmd.CommandPath(), args[0]), hint: "name the mesh with --name: " + cmd.CommandPath() + " --name " + args[0]}
	}
	return exactArgs(0, "no arguments")(cmd, args)
}

func (c *cli) create(ctx context.Context, f clusterFlags) error {
	topology, err := f.topology(ctx)
	if err != nil {
		return err
	}
	f.kind.keep = true
	provider, err := f.kind.provider(topology)
	if err != nil {
		return err
	}
	progress := report.Progress(c.Err, c.ErrTerminal)
	start := time.Now()
	set, err := provider.Open(ctx, topology, func(e cluster.Event) { _ = progress.Emit(toProgress(e)) })
	err = errors.Join(err, progress.Close(), closeSet(ctx, set))
	if err != nil {
		return err
	}
	contexts := kind.Contexts(provider.Mesh, topology)
	_, err = fmt.Fprintf(c.Out, "created the mesh %s in %s: contexts %s\nnext: meshprobe run --provider kind --reuse %s    # federate and probe\n      meshprobe clusters delete %s                 # remove it\n",
		provider.Mesh, time.Since(start).Round(time.Second), strings.Join(contexts, ", "), provider.Mesh, provider.Mesh)
	return err
}

func (c *cli) clustersList() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the meshes that are there, whole or not",
		Example: "  meshprobe clusters list -o json",
		Args:    exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != report.FormatText && format != report.FormatJSON {
				return &usageError{msg: fmt.Sprintf("-o: unknown format %q", format), hint: "one of: text, json"}
			}
			found, err := kind.List(cmd.Context())
			if err != nil {
				return err
			}
			return c.printMeshes(found, format)
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", report.FormatText, "format on standard output: text or json")
	return cmd
}

func (c *cli) printMeshes(found []kind.Found, format string) error {
	if format == report.FormatJSON {
		if found == nil {
			found = []kind.Found{}
		}
		enc := json.NewEncoder(c.Out)
		enc.SetIndent("", "  ")
		return enc.Encode(found)
	}
	if len(found) == 0 {
		_, err := fmt.Fprintln(c.Out, "there are no clusters of meshprobe")
		return err
	}
	w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "MESH\tCLUSTER\tSTATE\tCREATED\tCONTEXT") // Flush tells
	for _, f := range found {
		for _, m := range f.Clusters {
			state := m.State
			if !m.Ready {
				state += ", incomplete"
			}
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", f.Mesh, m.Name, state, f.Created.UTC().Format(time.RFC3339), m.Context)
		}
	}
	return w.Flush()
}

func (c *cli) clustersDelete() *cobra.Command {
	var all bool
	var kubeconfig string
	cmd := &cobra.Command{
		Use:     "delete [NAME...]",
		Short:   "Delete meshes with everything in them",
		Example: "  meshprobe clusters delete " + defaultMesh + "\n  meshprobe clusters delete --all",
		RunE: func(cmd *cobra.Command, names []string) error {
			switch {
			case all && len(names) > 0:
				return &usageError{msg: "--all and names contradict each other", hint: "name meshes, or give --all alone"}
			case !all && len(names) == 0:
				return &usageError{msg: "clusters delete needs the name of a mesh", hint: "see what is there: meshprobe clusters list; or remove everything: meshprobe clusters delete --all"}
			}
			if err := c.deleteMeshes(cmd.Context(), names, kubeconfig); err != nil || !all {
				return err
			}
			_, err := kind.Sweep()
			return err
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "delete every mesh, also what an interrupted set-up left")
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "take the contexts out of `FILE` (default: what kubectl uses)")
	return cmd
}

// deleteMeshes deletes meshes by name, or all where none is named. Every name
// is looked up before the first is deleted.
func (c *cli) deleteMeshes(ctx context.Context, names []string, kubeconfig string) error {
	found, err := kind.List(ctx)
	if err != nil {
		return err
	}
	chosen := found
	if len(names) > 0 {
		if chosen, err = choose(found, names); err != nil {
			return err
		}
	}
	for _, f := range chosen {
		if err := kind.Delete(ctx, f, kubeconfig); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(c.Out, "deleted the mesh %s\n", f.Mesh); err != nil {
			return err
		}
	}
	if len(chosen) == 0 {
		_, err = fmt.Fprintln(c.Out, "there are no clusters of meshprobe")
	}
	return err
}

func choose(found []kind.Found, names []string) ([]kind.Found, error) {
	byName := map[string]kind.Found{}
	var known []string
	for _, f := range found {
		byName[f.Mesh] = f
		known = append(known, f.Mesh)
	}
	var out []kind.Found
	for _, name := range names {
		f, ok := byName[name]
		if !ok {
			hint := cluster.DidYouMean(name, known)
			if hint == "" {
				hint = "there is none: meshprobe clusters list"
			}
			return nil, &usageError{msg: fmt.Sprintf("there is no mesh %q", name), hint: hint}
		}
		out = append(out, f)
	}
	return out, nil
}
