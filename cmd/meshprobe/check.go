// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/live"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// checkFlags are the flags of a check of live clusters.
type checkFlags struct {
	live      liveFlags
	selection selectionFlags
	output    outputFlags
	observing observingFlags
	rbac      rbacFlags
	guest     guestFlags
}

func (c *cli) checkCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Probe live clusters, read-only",
		Long: `check attaches to running clusters through kubeconfig contexts, says what it
found, and runs the same probes as run: it reads what the control planes say,
asks each cluster's own CA for a certificate as a workload would, opens real
sidecar mTLS and HBONE handshakes, and judges what it saw.

Nothing is changed: a guard in front of each API lets get, list and watch
through, and the create of TokenRequest, SelfSubjectAccessReview and
port-forward, and nothing else. Private keys stay in memory. What takes a place
inside the pod network is skipped, with what would reach it. A permission that
is missing skips what needs it, and is named.

--allow-agent puts one short-lived pod into each cluster, in a namespace of its
own, that carries TCP streams for this check and for nobody else, to the
addresses that the check names and no others; TLS stays end to end. It is
removed at the end, also after an interrupt, and where meshprobe is killed it
ends by itself within a minute.`,
		Example: `  meshprobe check --contexts east,west
  meshprobe check --contexts east,west --junit report.xml --strict
  meshprobe check --contexts east,west --allow-agent --agent-image REGISTRY/meshprobe:TAG
  meshprobe check --topology mesh.yaml --kubeconfig east.yaml --kubeconfig west.yaml
  meshprobe check --print-rbac | kubectl apply -f -`,
		Args: exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.rbac.asked {
				return f.rbac.write(c.Out, f.live.roots, f.guest.allowed)
			}
			return c.check(cmd.Context(), f)
		},
	}
	f.live.add(cmd)
	f.rbac.add(cmd)
	f.guest.add(cmd)
	f.selection.add(cmd)
	f.output.add(cmd)
	f.output.conformance.add(cmd)
	f.observing.add(cmd)
	return cmd
}

func (c *cli) check(ctx context.Context, f checkFlags) error {
	topology, err := f.live.topology()
	if err != nil {
		return err
	}
	provider, err := f.live.provider(ctx, topology)
	if err != nil {
		return err
	}
	if provider.Options.Agent, err = f.guest.agent(); err != nil {
		return err
	}
	plan, runner, err := c.planned(f.selection, f.observing, f.output)
	if err != nil {
		return err
	}
	// The report begins with what the clusters are, so that is found out first.
	set, attachErr := provider.Open(ctx, topology, c.found)
	if attachErr == nil {
		topology = set.Topology
	}
	summary, err := runner.Run(ctx, started(provider.Name(), topology), plan,
		func(ctx context.Context, _ func(probe.Progress)) (*probe.Env, error) {
			if attachErr != nil {
				return nil, attachErr
			}
			return probe.NewEnv(ctx, set, nil, nil)
		})
	return c.finish(ctx, summary, errors.Join(err, runner.Sink.Close(), closeSet(ctx, set)))
}

// found tells what a cluster is, before anything is judged.
func (c *cli) found(e cluster.Event) {
	_, _ = fmt.Fprintf(c.Err, "meshprobe: %s: %s\n", e.Cluster, e.Detail)
}

// liveFlags say which clusters are looked at, and what they are called.
type liveFlags struct {
	contexts    []string
	kubeconfigs []string
	file        string
	cert, key   string
	socket      string

	names, networks, domains, revisions, roots []string

	chosen func(flag string) bool
}

func (f *liveFlags) add(cmd *cobra.Command) {
	f.addClusters(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.file, "topology", "", "topology `FILE` (YAML) whose clusters name their contexts")
	fl.StringVar(&f.cert, "cert", "", "show the certificate chain in `FILE` (PEM) in place of ones from istiod")
	fl.StringVar(&f.key, "key", "", "private key `FILE` (PEM) of --cert")
	fl.StringVar(&f.socket, "spiffe-socket", "", "show the SVID of the SPIFFE Workload API at `ADDRESS` (unix:///path or tcp://ip:port)")
}

// addClusters adds which clusters there are, and what is not discovered.
func (f *liveFlags) addClusters(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringSliceVar(&f.contexts, "contexts", nil, "kubeconfig `CONTEXTS` of the clusters, separated by commas")
	fl.StringArrayVar(&f.kubeconfigs, "kubeconfig", nil, "kubeconfig `FILE`; repeatable, merged (default: what kubectl uses, or the pod's own)")
	fl.StringArrayVar(&f.names, "cluster-name", nil, "`CONTEXT=NAME`: call the cluster so in place of istiod's CLUSTER_ID; repeatable")
	fl.StringArrayVar(&f.networks, "network", nil, "`[CONTEXT=]NETWORK` in place of the one discovered; repeatable")
	fl.StringArrayVar(&f.domains, "trust-domain", nil, "`[CONTEXT=]DOMAIN` that the cluster ought to have; repeatable")
	fl.StringArrayVar(&f.revisions, "revision", nil, "`[CONTEXT=]REVISION` of istiod where several run; repeatable")
	fl.StringArrayVar(&f.roots, "root-namespace", nil, "`[CONTEXT=]NAMESPACE` of istiod; repeatable")
	f.chosen = fl.Changed
}

// topology is the clusters that the flags name; what they are is found out by
// attaching to them.
func (f *liveFlags) topology() (cluster.Topology, error) {
	switch {
	case f.file != "" && f.chosen("contexts"):
		return cluster.Topology{}, &usageError{msg: "--contexts and --topology contradict each other", hint: "leave --contexts out: the topology file names its contexts"}
	case f.chosen("topology"):
		return readTopology(f.file, cluster.ParseLiveTopology, "name a readable YAML file, or leave it out")
	}
	t, err := live.Contexts(f.kubeconfigs, f.contexts)
	if ce, ok := errors.AsType[*live.ContextError](err); ok {
		return t, &usageError{msg: "--contexts: " + ce.Msg, hint: ce.Hint}
	}
	return t, err
}

// provider is the one that the flags describe.
func (f *liveFlags) provider(ctx context.Context, t cluster.Topology) (*live.Provider, error) {
	p := &live.Provider{Options: live.Options{Kubeconfigs: f.kubeconfigs}}
	var err error
	if p.Options.Overrides, err = f.overrides(t); err != nil {
		return nil, err
	}
	if p.Options.Identity, err = f.identity(ctx); err != nil {
		return nil, err
	}
	if ce, ok := errors.AsType[*live.ContextError](p.Check(t)); ok {
		return nil, &usageError{msg: ce.Msg, hint: ce.Hint}
	}
	return p, nil
}

// overrides sorts the flags that replace what would be discovered by context.
func (f *liveFlags) overrides(t cluster.Topology) (map[string]live.Override, error) {
	known := []string{}
	for _, c := range t.Clusters {
		known = append(known, c.Context)
	}
	out := map[string]live.Override{}
	for _, flag := range []struct {
		name   string
		values []string
		set    func(*live.Override, string)
	}{
		{"cluster-name", f.names, func(o *live.Override, v string) { o.Name = v }},
		{"network", f.networks, func(o *live.Override, v string) { o.Network = v }},
		{"trust-domain", f.domains, func(o *live.Override, v string) { o.TrustDomain = v }},
		{"revision", f.revisions, func(o *live.Override, v string) { o.Revision = v }},
		{"root-namespace", f.roots, func(o *live.Override, v string) { o.RootNamespace = v }},
	} {
		for _, v := range flag.values {
			context, value, err := splitOverride(flag.name, v, known)
			if err != nil {
				return nil, err
			}
			o := out[context]
			flag.set(&o, value)
			out[context] = o
		}
	}
	return out, nil
}

// splitOverride reads [CONTEXT=]VALUE. Contexts may hold an = themselves, so a
// known one decides where it ends.
func splitOverride(flag, text string, contexts []string) (context, value string, err error) {
	for _, c := range contexts {
		if v, ok := strings.CutPrefix(text, c+"="); ok && v != "" {
			return c, v, nil
		}
	}
	if before, _, ok := strings.Cut(text, "="); ok {
		return "", "", &usageError{msg: fmt.Sprintf("--%s: there is no context %q among the clusters", flag, before), hint: cluster.DidYouMean(before, contexts)}
	}
	if text == "" || flag == "cluster-name" {
		return "", "", &usageError{msg: fmt.Sprintf("--%s %q names no cluster", flag, text), hint: fmt.Sprintf("write it as --%s %s=NAME", flag, contexts[0])}
	}
	return "", text, nil
}
