// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/agent"
)

// agentCommand is what meshprobe runs inside a cluster, to see the network as
// pods see it.
func (c *cli) agentCommand() *cobra.Command {
	var f agentFlags
	cmd := &cobra.Command{
		Use: "agent", Short: "Carry TCP streams into the pod network of a cluster", Hidden: true,
		Long: `agent runs in a pod and carries the streams of a meshprobe outside into the
pod network. It bridges bytes only: TLS stays end to end. With --ca-namespace it
also makes the CA key of its cluster, and writes it to Secret cacerts there. It
listens on the loopback of its pod, which only those reach who may
open a port-forward to it, and with --caller serves nobody but the meshprobe that
started it.`,
		Args: exactArgs(0, "no arguments"), Example: "  meshprobe agent --lifetime 10m",
		RunE: func(cmd *cobra.Command, _ []string) error { return serveAgent(cmd.Context(), f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.listen, "listen", "127.0.0.1:15080", "`ADDRESS` to take streams at")
	fl.DurationVar(&f.lifetime, "lifetime", 0, "end after this time, whatever happens (default: never)")
	fl.DurationVar(&f.idle, "idle", 0, "end when no caller was there for this time (default: never)")
	fl.StringVar(&f.caller, "caller", "", "`HASH` (SHA-256, hex) of the token of the only caller that is served")
	fl.StringArrayVar(&f.hosts, "host", nil, "dial this `HOST` and no other that is not named; repeatable")
	f.ca.add(cmd)
	return cmd
}

// agentFlags are what an agent is told.
type agentFlags struct {
	listen         string
	lifetime, idle time.Duration
	caller         string
	hosts          []string
	ca             caFlags
}

func serveAgent(ctx context.Context, f agentFlags) error {
	if hash, err := hex.DecodeString(f.caller); f.caller != "" && (err != nil || len(hash) != sha256.Size) {
		return &usageError{msg: "--caller is no SHA-256 in hex", hint: "leave it out to serve whoever may open a port-forward to the pod"}
	}
	handler, err := f.ca.handler()
	if err != nil {
		return err
	}
	if f.lifetime > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.lifetime)
		defer cancel()
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", f.listen)
	if err != nil {
		return &usageError{msg: "--listen: " + err.Error(), hint: "for example: --listen 127.0.0.1:15080"}
	}
	return (&agent.Server{Relayed: true, Handler: handler, Caller: f.caller, Hosts: f.hosts, Idle: f.idle}).Serve(ctx, l)
}
