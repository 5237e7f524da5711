// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/cluster/agent"
)

// agentToken is the environment variable that holds what an agent knows its
// caller by; a flag would show it to everybody.
const agentToken = "MESHPROBE_AGENT_TOKEN"

// agentCommand is what meshprobe runs inside a cluster, to see the network as
// pods see it.
func (c *cli) agentCommand() *cobra.Command {
	var listen string
	var allow []string
	var lifetime time.Duration
	cmd := &cobra.Command{
		Use: "agent", Short: "Carry TCP streams into the pod network of a cluster", Hidden: true,
		Long: `agent runs in a pod and carries the streams of a meshprobe outside into the
pod network. It bridges bytes only: TLS stays end to end, and no key is ever
here. It knows its caller by the token in ` + agentToken + `, and dials
only the ranges of --allow.`,
		Args: exactArgs(0, "no arguments"), Example: "  meshprobe agent --allow 10.244.0.0/16",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.serveAgent(cmd.Context(), listen, allow, lifetime)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&listen, "listen", agent.DefaultAddress, "`ADDRESS` to take streams at; loopback is what port-forward reaches")
	fl.StringArrayVar(&allow, "allow", nil, "`RANGE` that may be dialed, such as 10.244.0.0/16; repeatable")
	fl.DurationVar(&lifetime, "lifetime", 0, "end after this time, whatever happens (default: never)")
	return cmd
}

func (c *cli) serveAgent(ctx context.Context, listen string, allow []string, lifetime time.Duration) error {
	s := &agent.Server{Token: c.Getenv(agentToken)}
	if s.Token == "" {
		return &usageError{msg: "agent needs a token in " + agentToken, hint: "agents are started by meshprobe itself"}
	}
	for _, text := range allow {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return &usageError{msg: fmt.Sprintf("--allow: %q is no range", text), hint: "for example: --allow 10.244.0.0/16"}
		}
		s.Allow = append(s.Allow, p.Masked())
	}
	if len(s.Allow) == 0 {
		return &usageError{msg: "agent needs to know what it may dial", hint: "for example: --allow 10.244.0.0/16"}
	}
	if lifetime > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, lifetime)
		defer cancel()
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return &usageError{msg: "--listen: " + err.Error(), hint: "for example: --listen " + agent.DefaultAddress}
	}
	return s.Serve(ctx, l)
}
