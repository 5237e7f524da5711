// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/agent"
)

// agentCommand is what meshprobe runs inside a cluster, to see the network as
// pods see it.
func (c *cli) agentCommand() *cobra.Command {
	var listen string
	var lifetime time.Duration
	var ca caFlags
	cmd := &cobra.Command{
		Use: "agent", Short: "Carry TCP streams into the pod network of a cluster", Hidden: true,
		Long: `agent runs in a pod and carries the streams of a meshprobe outside into the
pod network. It bridges bytes only: TLS stays end to end. With --ca-namespace it
also makes the CA key of its cluster, and writes it to Secret cacerts there. It
listens on the loopback of its pod, which only those reach who may
open a port-forward to it.`,
		Args: exactArgs(0, "no arguments"), Example: "  meshprobe agent --lifetime 10m",
		RunE: func(cmd *cobra.Command, _ []string) error { return serveAgent(cmd.Context(), listen, lifetime, ca) },
	}
	fl := cmd.Flags()
	fl.StringVar(&listen, "listen", "127.0.0.1:15080", "`ADDRESS` to take streams at")
	fl.DurationVar(&lifetime, "lifetime", 0, "end after this time, whatever happens (default: never)")
	ca.add(cmd)
	return cmd
}

func serveAgent(ctx context.Context, listen string, lifetime time.Duration, ca caFlags) error {
	handler, err := ca.handler()
	if err != nil {
		return err
	}
	if lifetime > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, lifetime)
		defer cancel()
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return &usageError{msg: "--listen: " + err.Error(), hint: "for example: --listen 127.0.0.1:15080"}
	}
	return (&agent.Server{Relayed: true, Handler: handler}).Serve(ctx, l)
}
