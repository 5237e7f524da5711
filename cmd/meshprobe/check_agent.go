// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/cluster/live"
)

// guestFlags let a check stand inside the clusters, through a pod in each.
type guestFlags struct {
	allowed bool
	image   string
	wait    time.Duration

	chosen func(flag string) bool
}

// defaultAgentImage is what make image makes.
const defaultAgentImage = "meshprobe:latest"

func (f *guestFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.BoolVar(&f.allowed, "allow-agent", false, "put a short-lived pod into each cluster, to look from inside its pod network")
	fl.StringVar(&f.image, "agent-image", defaultAgentImage, "`IMAGE` of meshprobe for that pod")
	fl.DurationVar(&f.wait, "agent-wait", 0, "time for that pod to run (default: 2m)")
	f.chosen = fl.Changed
}

// agent is what the flags allow, nil for nothing.
func (f *guestFlags) agent() (*live.Agent, error) {
	for _, name := range []string{"agent-image", "agent-wait"} {
		if !f.allowed && f.chosen != nil && f.chosen(name) {
			return nil, &usageError{msg: "--" + name + " is of no use without an agent", hint: "add --allow-agent, or leave it out"}
		}
	}
	switch {
	case !f.allowed:
		return nil, nil //nolint:nilnil // none is an answer
	case f.image == "":
		return nil, &usageError{msg: "--agent-image names no image", hint: "for example: --agent-image REGISTRY/meshprobe:TAG (make image makes one)"}
	case f.wait < 0 || f.chosen("agent-wait") && f.wait == 0:
		return nil, &usageError{msg: "--agent-wait " + f.wait.String() + ": a pod needs some time to run", hint: "for example: --agent-wait 1m"}
	}
	return &live.Agent{Image: f.image, Wait: f.wait}, nil
}
