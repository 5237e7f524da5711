// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/live"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// runFlags are the flags of the main job.
type runFlags struct {
	clusters  clusterFlags
	root      rootFlags
	faults    faultFlags
	selection selectionFlags
	output    outputFlags
	observing observingFlags
}

func (c *cli) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Bring clusters up, federate them, probe, report, tear down",
		Long: `run is the main job: it opens the clusters of a topology, federates them
under one shared root with an intermediate per cluster, makes real sidecar
mTLS, HBONE and double-HBONE handshakes between their workloads in both
directions, judges what it saw, reports, and tears everything down.`,
		Example: `  meshprobe run --junit report.xml
  meshprobe run --clusters 3 --run '^(trust|handshake)/'
  meshprobe run --topology mesh.yaml -o json --record record-dir
  meshprobe run --fault ew-unreachable=west
  meshprobe run --provider kind
  meshprobe run --provider live --contexts east,west    # check by another name: nothing is changed`,
		Args: exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.clusters.provider == live.Name {
				return c.runLive(cmd)
			}
			if cmd.Flags().Changed("contexts") {
				return &usageError{msg: "--contexts names clusters that run, the provider is " + f.clusters.provider, hint: "add: --provider " + live.Name}
			}
			return c.run(cmd.Context(), f)
		},
	}
	addRunLive(cmd)
	f.clusters.kind.addRun(cmd)
	f.clusters.add(cmd)
	f.root.add(cmd)
	f.faults.add(cmd)
	f.selection.add(cmd)
	f.output.add(cmd)
	f.output.conformance.add(cmd)
	f.observing.add(cmd)
	return cmd
}

func (c *cli) run(ctx context.Context, f runFlags) (err error) {
	topology, err := f.clusters.topology(ctx)
	if err != nil {
		return err
	}
	provider, err := f.clusters.open(topology)
	if err != nil {
		return err
	}
	federation, err := f.root.federation(ctx, topology)
	if err != nil {
		return err
	}
	f.clusters.kind.keepRoot(federation, topology)
	faults, err := f.faults.orders(provider.Name(), topology)
	if err != nil {
		return err
	}
	plan, runner, err := c.planned(f.selection, f.observing, f.output)
	if err != nil {
		return err
	}
	var set *cluster.Set
	summary, err := runner.Run(ctx, started(provider.Name(), topology), plan,
		func(ctx context.Context, progress func(probe.Progress)) (*probe.Env, error) {
			events := func(e cluster.Event) {
				progress(toProgress(e))
			}
			var err error
			if set, err = provider.Open(ctx, topology, events); err != nil {
				return nil, err
			}
			if err := federation.apply(ctx, set, events); err != nil {
				return nil, err
			}
			if err := breakMesh(ctx, set, faults); err != nil {
				return nil, err
			}
			return probe.NewEnv(ctx, set, nil, nil)
		})
	return c.finish(ctx, summary, errors.Join(err, runner.Sink.Close(), closeSet(ctx, set)))
}

// started is the head of a run's report.
func started(provider string, t cluster.Topology) probe.RunStarted {
	s := probe.RunStarted{Version: version(), Provider: provider, Edges: t.Edges}
	for _, c := range t.Clusters {
		s.Clusters = append(s.Clusters, probe.ClusterFacts{Name: c.Name, Network: c.Network, TrustDomain: c.TrustDomain})
	}
	return s
}

// closeTimeout bounds the tearing down after an interrupt; containers take some
// time to go.
const closeTimeout = 2 * time.Minute

func closeSet(ctx context.Context, set *cluster.Set) error {
	if set == nil {
		return nil
	}
	// What was opened is closed also after an interrupt.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return set.Close(ctx)
}

// finish sets the exit status of a run. A report that could not be written
// must not look like success.
func (c *cli) finish(ctx context.Context, s probe.Summary, err error) error {
	c.status = s.ExitStatus()
	if ctx.Err() != nil {
		_, _ = fmt.Fprintln(c.Err, "meshprobe: error: interrupted; the report holds what was found until then")
	}
	if err == nil {
		return nil
	}
	_, _ = fmt.Fprintln(c.Err, "meshprobe: error:", err)
	if c.status == exitOK {
		c.status = exitInconclusive
	}
	return nil
}
