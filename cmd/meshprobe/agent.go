// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/agent"
)

// agentFlags are those of the server that meshprobe puts into a cluster.
type agentFlags struct {
	listen  string
	life    time.Duration
	streams int
}

func (c *cli) agentCommand() *cobra.Command {
	var f agentFlags
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Pass streams on from inside a cluster (what --allow-agent runs)",
		Long: `agent is what --allow-agent runs in a short-lived pod: it dials where the pod
would and passes bytes, so that meshprobe's own TLS reaches peers that only the
cluster's network reaches. It listens on loopback: whoever may port-forward to
the pod may use it, nobody else. It ends by itself after --for.`,
		Example: "  meshprobe agent --for 10m",
		Args:    exactArgs(0, "no arguments"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.agent(cmd.Context(), f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.listen, "listen", "127.0.0.1:15080", "loopback `ADDRESS` to listen on")
	fl.DurationVar(&f.life, "for", 10*time.Minute, "how long the agent lives")
	fl.IntVar(&f.streams, "streams", agent.DefaultStreams, "streams that may be open at once")
	return cmd
}

// check refuses what would open the agent to others, or never end.
func (f *agentFlags) check() error {
	host, _, err := net.SplitHostPort(f.listen)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return &usageError{msg: fmt.Sprintf("--listen %q is not a loopback address with a port", f.listen), hint: "for example: --listen 127.0.0.1:15080"}
	}
	if f.life <= 0 {
		return &usageError{msg: fmt.Sprintf("--for %s: an agent needs some time", f.life), hint: "for example: --for 10m"}
	}
	if f.streams < 1 {
		return &usageError{msg: fmt.Sprintf("--streams %d: there must be at least one", f.streams), hint: "for example: --streams 256"}
	}
	return nil
}

func (c *cli) agent(ctx context.Context, f agentFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, f.life)
	defer cancel()
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", f.listen)
	if err != nil {
		return &usageError{msg: err.Error(), hint: "choose another --listen"}
	}
	_, _ = fmt.Fprintf(c.Err, "meshprobe: agent on %s for %s\n", ln.Addr(), f.life)
	return (&agent.Server{Streams: f.streams}).Serve(ctx, ln)
}
