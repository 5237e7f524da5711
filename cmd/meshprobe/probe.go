// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites/endpoint"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
)

func (c *cli) probeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "probe",
		Short: "Look at one endpoint: TCP, TLS, chain, identity, tunnel",
		Long: `probe looks at one address, or at many, from here: does TCP connect, what
protocol answers, which version, group and ALPN are agreed on, who accepts or
refuses whom, which chain is sent and does it verify, whose identity is it and,
for HBONE, what becomes of a CONNECT. It stops at the first that fails and says
why. It needs no cluster; with --from it looks as a workload of one does.

"accepted" is said only after a read proved it. Without --trust-bundle nothing
is called trusted: the chain is described, and which root it would take.`,
		Example: `  meshprobe probe tls 10.0.3.7:8443
  meshprobe probe sidecar 10.0.3.7:9080 --cert cert-chain.pem --key key.pem --trust-bundle root-cert.pem
  meshprobe probe hbone 10.0.3.7 --spiffe-socket unix:///run/spire/agent.sock --to 10.0.3.7:9080`,
		Args: c.noSubcommand,
		RunE: func(*cobra.Command, []string) error {
			return &usageError{msg: "probe what?", hint: "meshprobe probe tls ADDRESS, or one of: sidecar, hbone, double-hbone"}
		},
	}
	cmd.AddCommand(
		c.probeKind(wire.TLS, "Look at a TLS server", `tls speaks plain TLS: no ALPN unless --alpn, and the host of ADDRESS as SNI
unless --sni. A port is 15443 where none is given: an east-west gateway, which
routes by SNI (outbound_.PORT_._.SERVICE.NAMESPACE.svc.cluster.local).`, `  meshprobe probe tls gateway.example.com --sni outbound_.9080_._.ratings.shop.svc.cluster.local`),
		c.probeKind(wire.Sidecar, "Look at the mutual TLS of an Istio sidecar", `sidecar speaks what a sidecar speaks: TLS with Istio's ALPN, by which a
PERMISSIVE sidecar tells mesh clients from others. ADDRESS needs the port of the
application; 15006 itself leads nowhere.`, `  meshprobe probe sidecar 10.0.3.7:9080 --cert cert-chain.pem --key key.pem`),
		c.probeKind(wire.HBONE, "Look at an HBONE server: ztunnel, waypoint", `hbone speaks HTTP/2 over TLS 1.3, without SNI, as ztunnel does, and with --to
sends a CONNECT. A port is 15008 where none is given.`, `  meshprobe probe hbone 10.0.3.7 --cert cert-chain.pem --key key.pem --to 10.0.3.7:9080`),
		c.probeKind(wire.DoubleHBONE, "Look through an ambient east-west gateway at what is behind it", `double-hbone opens a tunnel at a gateway (--to: the service) and inside it the
same again, end to end with a workload (--inner-to; the service where it is not
given). A port is 15008 where none is given. --expect-id is the workload's
identity, --expect-outer-id the gateway's.`, `  meshprobe probe double-hbone 172.18.0.5 --cert cert-chain.pem --key key.pem --to ratings.shop.svc.cluster.local:9080`),
	)
	return cmd
}

func (c *cli) probeKind(kind wire.Kind, short, long, example string) *cobra.Command {
	f := &probeFlags{kind: kind}
	cmd := &cobra.Command{
		Use: string(kind) + " [ADDRESS]", Short: short, Long: long, Example: example,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && cmd.Flags().Changed("input") {
				return nil
			}
			return exactArgs(1, "one ADDRESS, or --input FILE")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.probe(cmd.Context(), f, strings.Join(args, ""))
		},
	}
	f.add(cmd)
	return cmd
}

// probe looks at one endpoint, at one many times, or at many.
func (c *cli) probe(ctx context.Context, f *probeFlags, address string) error {
	if err := f.check(address); err != nil {
		return err
	}
	asked, err := f.asked()
	if err != nil {
		return err
	}
	template, err := f.target()
	if err != nil {
		return err
	}
	if err := f.identify(ctx, c, &template, &asked); err != nil {
		return err
	}
	observer := &wire.Observer{Gate: wire.NewGate(f.parallel)}
	base := endpoint.Look{Target: template, Asked: asked, Observer: observer}
	if f.from == "" {
		return c.lookAt(ctx, f, base, address)
	}
	s, err := f.stationed(ctx, c)
	if err != nil {
		return err
	}
	observer.Dial = s.dial
	if err = s.identify(ctx, f, &base.Target, &base.Asked); err == nil {
		err = c.lookAt(ctx, f, base, address)
	}
	return errors.Join(err, closeSet(ctx, s.set))
}

func (c *cli) lookAt(ctx context.Context, f *probeFlags, base endpoint.Look, address string) error {
	looks, err := f.looks(base, address)
	if err != nil {
		return err
	}
	return c.look(ctx, f, looks)
}

// look runs the probes over what there is to look at, and reports.
func (c *cli) look(ctx context.Context, f *probeFlags, looks *looks) error {
	plan, err := probe.Select(endpoint.For(f.kind, f.chosen("expect")), probe.Selection{})
	if err != nil {
		return errors.Join(err, looks.close())
	}
	f.output.lines = looks.many
	sink, err := c.sinks(f.output)
	if err != nil {
		return errors.Join(err, looks.close())
	}
	rate := &rate{}
	runner := &probe.Runner{Sink: alongside(sink, rate), Parallel: looks.parallel, Timeout: forever, Strict: f.strict}
	if f.record != "" {
		if runner.Recorder, err = newRecorder(f.record); err != nil {
			return errors.Join(err, sink.Close(), looks.close())
		}
	}
	start := probe.RunStarted{Version: version(), Provider: "probe " + string(f.kind)}
	if f.from != "" {
		start.Provider += " from " + f.from
	}
	summary, err := runner.Run(ctx, start, plan, func(context.Context, func(probe.Progress)) (*probe.Env, error) {
		return probe.EnvOf(looks.each, nil), nil
	})
	err = errors.Join(err, sink.Close())
	if looks.many {
		err = errors.Join(err, c.tellRate(f, rate))
	}
	return c.ended(ctx, summary, err, looks)
}

// ended is finish, after an input that broke off: what was read was probed and
// reported, the rest is unknown.
func (c *cli) ended(ctx context.Context, s probe.Summary, err error, looks *looks) error {
	broken := looks.err
	if cerr := looks.close(); broken == nil {
		broken = cerr
	}
	if broken != nil && ctx.Err() == nil {
		return errors.Join(broken, err)
	}
	return c.finish(ctx, s, err)
}

// forever is the runner's bound on one observation: package wire has its own,
// which does not count the time that an endpoint waits for its turn.
const forever = 24 * time.Hour

// newRecorder makes a recorder, or says what is wrong with the directory.
func newRecorder(dir string) (*probe.Recorder, error) {
	r, err := probe.NewRecorder(dir)
	if err != nil {
		return nil, &usageError{
			msg:  "--record: " + strings.TrimPrefix(err.Error(), "probe: record: "),
			hint: "name a directory that does not exist yet, or an empty one",
		}
	}
	return r, nil
}

// warn tells of something that does not keep a command from its work.
func (c *cli) warn(format string, args ...any) {
	_, _ = fmt.Fprintf(c.Err, "meshprobe: warning: "+format+"\n", args...)
}
