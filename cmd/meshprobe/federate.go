// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/live"
	"github.com/meshprobe/meshprobe/pkg/federate"
	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
)

// exitFound is the status of a mesh whose clusters do not trust each other.
const exitFound = 1

// verb is one of the commands of federate. On embedded each acts inside a run
// of its own, so that what it says can be tried anywhere.
type verb struct {
	name, short, long string
	do                func(context.Context, *federating) error // on embedded
	live              func(context.Context, *federating) error // on running clusters
	writes            bool                                     // changes running clusters
	root              bool                                     // needs the root on running clusters
}

func (c *cli) verbs() []verb {
	return []verb{
		{"plan", "Say what federating the clusters would change", "plan prints, as a diff and without keys, what federating would change. It\nwrites nothing.", planned, planned, false, true},
		{"apply", "Federate the clusters and prove it by handshakes", "apply gives the clusters one shared root and an intermediate each, restarts\nwhat must take new certificates, lets the control planes find each other, and\nproves the result by a real handshake in every direction. What was interrupted it\ncontinues, and what is done already it leaves alone.\n\nOn running clusters, everybody trusts the old and the new root first, and the old\none goes when the handshakes hold, so that no call fails for want of trust: this\nrestarts everything three times. --at-once restarts everything once instead, and\ncalls within a cluster fail until that is over.", applied, applied, true, true},
		{"verify", "Prove by handshakes that the clusters trust each other", "verify opens a real handshake in every direction over every data plane. On\nembedded it federates the clusters first.", verified, proved, false, false},
		{"status", "Say how far the federation of each cluster came", "status prints root, intermediate and outstanding steps of each cluster, as its\nKubernetes API tells them. On embedded it does so before and after apply.", stated, statedLive, false, false},
		{"rotate", "Give each cluster a new CA, under the same root or a new one", "rotate makes a new CA key and intermediate for each cluster under the same root,\nand renews every certificate. Old and new chain to the same root, so no call\nneed fail.\n\nWith --new-root it moves the clusters to another root: first everybody trusts\nboth, then each cluster gets an intermediate of the new one, and handshakes prove\nit before, between and after. The old root stays trusted until --drop-old-root,\nwhich first proves that nobody needs it. On embedded rotate federates the\nclusters first.", rotated, rotatedLive, true, true},
		{"rollback", "Put back what was there before", "rollback puts back, byte for byte, what was there before apply. On embedded it\napplies first and then compares every object with what it was.", rolledBack, rolledBackLive, true, false},
	}
}

func (c *cli) federateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "federate",
		Short: "Plan, apply, verify or roll back the trust between clusters",
		Long: `federate makes clusters trust each other: one shared root, an intermediate per
cluster, and what the control planes need to find each other.

With --contexts it works on running clusters. plan, verify and status only read;
apply, rotate and rollback need --write. The key of an intermediate is made in the
memory of meshprobe and written straight to a Secret of its cluster, and
nowhere else; with --allow-agent a pod in that cluster makes it, and it never
leaves the cluster. Every object that is touched is kept before, in a Secret
meshprobe-backup-…, and rollback puts it back byte for byte.

On the embedded provider each command acts inside one run: it opens the
clusters, does what it is asked, says what came of it, and closes them.`,
		Example: "  meshprobe federate plan\n  meshprobe federate plan --contexts east,west --root-dir root\n  meshprobe federate apply --contexts east,west --root-dir root --write",
		Args:    c.noSubcommand,
		RunE: func(*cobra.Command, []string) error {
			return &usageError{msg: "federate needs a verb", hint: "meshprobe federate plan, apply, verify, status, rotate or rollback"}
		},
	}
	for _, v := range c.verbs() {
		var clusters clusterFlags
		var root rootFlags
		var running federateLive
		sub := &cobra.Command{
			Use: v.name, Short: v.short, Long: v.long,
			Example: "  meshprobe federate " + v.name,
			Args:    exactArgs(0, "no arguments"),
			RunE: func(cmd *cobra.Command, _ []string) error {
				running.file = clusters.file
				return c.federate(cmd.Context(), v, clusters, &running, root)
			},
		}
		clusters.add(sub)
		running.add(sub, v.writes)
		switch v.name {
		case "rotate":
			running.rotate.add(sub)
		case "plan", "apply":
			running.addAtOnce(sub)
		}
		root.add(sub)
		sub.Flags().Lookup("provider").Usage = "what opens the clusters: embedded or live"
		cmd.AddCommand(sub)
	}
	return cmd
}

// federating is what a verb works with.
type federating struct {
	*federation
	out  *output
	set  *cluster.Set
	opts federate.Options

	live   bool // running clusters
	write  bool // that may be changed
	rooted bool // it is known where the root is kept
	rotate rotateFlags
}

// output keeps the first error of what is written, so that whoever prints need
// not look, and goes on: a full disk is no reason to stop halfway through a
// federation, but one to say so in the end.
type output struct {
	to  io.Writer
	err error
}

// Write never fails.
func (o *output) Write(p []byte) (int, error) {
	if o.err == nil {
		_, o.err = o.to.Write(p)
	}
	return len(p), nil
}

func (f *federating) say(format string, args ...any) { _, _ = fmt.Fprintf(f.out, format+"\n", args...) }

// federate opens the clusters, lets the verb act, and closes them.
func (c *cli) federate(ctx context.Context, v verb, clusters clusterFlags, running *federateLive, root rootFlags) error {
	do, open := v.do, func() (*federating, error) { return c.openEmbedded(ctx, clusters, root) }
	provider := running.chosenProvider(clusters.provider)
	if err := running.only(provider); err != nil {
		return err
	}
	if provider == live.Name {
		do, open = v.live, func() (*federating, error) { return c.openLive(ctx, running, v, root) }
	}
	f, err := open()
	if err != nil {
		return err
	}
	if running.allowAgent {
		do = withAgents(running.agentImage, do)
	}
	f.out, f.rotate = &output{to: c.Out}, running.rotate
	f.say("meshprobe federate %s   %s · %s", v.name, f.set.Provider, f.names())
	if f.opts.Issuer != nil {
		f.say("%s", f.opts.Issuer)
	}
	f.say("")
	err = do(ctx, f)
	err = errors.Join(err, f.out.err, closeSet(ctx, f.set))
	if ctx.Err() != nil {
		return stopped(err, running.write)
	}
	if fe, ok := errors.AsType[*federate.Error](err); ok && fe.Step == federate.StepVerify {
		c.complain(err)
		c.status = exitFound
		return nil
	}
	return err
}

// stopped is what a verb that was interrupted says. What it wrote to running
// clusters stays there.
func stopped(err error, wrote bool) error {
	if err = fmt.Errorf("interrupted: %w", err); !wrote {
		return err
	}
	return &hintedError{err: err, hint: "what was done stays; the same command continues"}
}

// openEmbedded opens clusters of this process.
func (c *cli) openEmbedded(ctx context.Context, clusters clusterFlags, root rootFlags) (*federating, error) {
	topology, err := clusters.topology(ctx)
	if err != nil {
		return nil, err
	}
	provider, err := clusters.open(topology)
	if err != nil {
		return nil, err
	}
	fed, err := root.federation(ctx, topology)
	if err != nil {
		return nil, err
	}
	set, err := provider.Open(ctx, topology, nil)
	if err != nil {
		return nil, err
	}
	f := &federating{federation: fed, set: set, rooted: true}
	if f.opts, err = fed.options(set); err != nil {
		return nil, errors.Join(err, closeSet(ctx, set))
	}
	return f, nil
}

func (f *federating) names() string {
	names := make([]string, len(f.set.Clusters))
	for i, c := range f.set.Clusters {
		names[i] = c.Name()
	}
	if len(names) > 4 {
		return fmt.Sprintf("%d clusters", len(names))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

func planned(ctx context.Context, f *federating) error {
	plan, err := federate.NewPlan(ctx, f.set, f.opts)
	if err != nil {
		return err
	}
	if err := plan.Diff(f.out); err != nil {
		return err
	}
	f.say("\n+ made   ~ changed   - removed   ! restarted; nothing was written")
	if f.live {
		f.say("the CA keys are made in the memory of meshprobe, and leave it only for their cluster's Secret")
		f.say("next: meshprobe federate apply --write with the same flags    # does this, then proves it by handshakes")
		return nil
	}
	f.say("next: meshprobe federate apply    # does this, then proves it by handshakes")
	return nil
}

// federateAll applies and prints the steps as they end.
func (f *federating) federateAll(ctx context.Context, verify bool) error {
	o := f.opts
	o.NoVerify = !verify
	p := &steps{w: f.out, all: len(f.set.Clusters)}
	err := f.applyWith(ctx, f.set, o, p.event)
	p.end(err == nil)
	return err
}

func applied(ctx context.Context, f *federating) error {
	begin := time.Now()
	if err := f.federateAll(ctx, true); err != nil {
		return err
	}
	f.say("\n%s trust each other: proved by a handshake in every direction, in %s", f.names(), elapsed(time.Since(begin)))
	if f.live {
		f.say("next: meshprobe check --contexts …    # every probe, with the reason for whatever fails")
		return nil
	}
	f.say("next: meshprobe run               # federates in the same way, then runs every probe")
	return nil
}

func verified(ctx context.Context, f *federating) error {
	if err := f.federateAll(ctx, false); err != nil {
		return err
	}
	return proved(ctx, f)
}

func proved(ctx context.Context, f *federating) error {
	begin := time.Now()
	if err := federate.Verify(ctx, f.set, f.opts, nil); err != nil {
		return err
	}
	f.say("")
	planes := directions(f.set)
	for p := range f.set.Directions() {
		if names := planes[p.String()]; len(names) > 0 && len(f.set.Clusters) <= 4 {
			f.say("✓ %-24s handshake over %s", p, strings.Join(names, " and "))
		}
	}
	f.say("%d directions hold, proved by handshakes in %s", len(planes), elapsed(time.Since(begin)))
	if !f.live {
		f.say("next: meshprobe run               # every probe, with the reason for whatever fails")
	}
	return nil
}

// directions are the data planes of the edges between clusters, by ordered
// pair.
func directions(set *cluster.Set) map[string][]string {
	out := map[string][]string{}
	for e := range set.Edges() {
		key := e.From.Cluster + " → " + e.To.Cluster
		if e.From.Cluster != e.To.Cluster && e.DataPlane != cluster.NoMesh && !slices.Contains(out[key], string(e.DataPlane)) {
			out[key] = append(out[key], string(e.DataPlane))
		}
	}
	return out
}

func stated(ctx context.Context, f *federating) error {
	f.say("before")
	if err := f.state(ctx); err != nil {
		return err
	}
	o := f.opts
	o.NoVerify = true
	if err := f.applyWith(ctx, f.set, o, nil); err != nil {
		return err
	}
	f.say("\nafter apply")
	if err := f.state(ctx); err != nil {
		return err
	}
	f.say("\nthis is what the Kubernetes APIs say, no proof")
	f.say("next: meshprobe federate verify   # proves it by handshakes")
	return nil
}

func statedLive(ctx context.Context, f *federating) error {
	if err := f.state(ctx); err != nil {
		return err
	}
	f.say("\nthis is what the Kubernetes APIs say, no proof")
	f.say("next: meshprobe federate verify --contexts …   # proves it by handshakes")
	return nil
}

func rolledBackLive(ctx context.Context, f *federating) error {
	p := &steps{w: f.out, all: len(f.set.Clusters)}
	err := federate.Rollback(ctx, f.set, f.opts, p.event)
	p.end(err == nil)
	if err != nil {
		return err
	}
	f.say("\nput back what was there before apply")
	return nil
}

// state prints one paragraph per cluster.
func (f *federating) state(ctx context.Context) error {
	all, err := federate.Status(ctx, f.set, f.opts)
	if err != nil {
		return err
	}
	for _, s := range all {
		f.say("  %s", s.Cluster)
		f.say("    root           %s", certificate(s.Root))
		f.say("    intermediate   %s", certificate(s.Intermediate))
		if len(s.Former) > 0 {
			f.say("    former roots   %d trusted still; they go with federate rotate --drop-old-root", len(s.Former))
		}
		switch {
		case s.Outstanding != "":
			f.say("    outstanding    %d changes, from the step %s on", len(s.Changes), s.Outstanding)
		case s.Since.IsZero():
			f.say("    outstanding    nothing")
		default:
			f.say("    outstanding    nothing; istiod restarted %s", s.Since.UTC().Format(time.RFC3339))
		}
		if s.Problem != "" {
			f.say("    cacerts        %s", s.Problem)
		}
	}
	return nil
}

func certificate(c *x509.Certificate) string {
	if c == nil {
		return "none in cacerts"
	}
	return fmt.Sprintf("%s, %s, key %s, until %s", c.Subject, issuer.Describe(c.PublicKey), issuer.SPKI(c)[:16], c.NotAfter.UTC().Format(time.DateOnly))
}

func rolledBack(ctx context.Context, f *federating) error {
	before, err := snapshot(ctx, f.set)
	if err != nil {
		return err
	}
	o := f.opts
	o.NoVerify = true
	if err := f.applyWith(ctx, f.set, o, nil); err != nil {
		return err
	}
	during, err := snapshot(ctx, f.set)
	if err != nil {
		return err
	}
	f.say("applied: %d objects made or changed\n", len(differing(before, during)))
	p := &steps{w: f.out, all: len(f.set.Clusters)}
	err = federate.Rollback(ctx, f.set, f.opts, p.event)
	p.end(err == nil)
	if err != nil {
		return err
	}
	after, err := snapshot(ctx, f.set)
	if err != nil {
		return err
	}
	if left := differing(before, after); len(left) > 0 {
		return fmt.Errorf("rolled back, but not as before: %s", strings.Join(left, ", "))
	}
	f.say("\nas before: all %d objects are what they were, byte for byte", len(after))
	f.say("next: meshprobe federate apply    # federates again")
	return nil
}
