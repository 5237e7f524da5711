// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/live"
	"github.com/meshprobe/meshprobe/pkg/federate"
)

// federateLive are the flags of federate that are about running clusters.
type federateLive struct {
	liveFlags

	write    bool
	mesh     string
	servers  []string
	gateways []string
	timeout  time.Duration

	allowAgent bool
	agentImage string

	atOnce bool
	rotate rotateFlags
}

func (f *federateLive) add(cmd *cobra.Command, writes bool) {
	f.addClusters(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.mesh, "mesh", "mesh", "`NAME` of the mesh, a label of every object that is written")
	fl.StringArrayVar(&f.servers, "server", nil, "`CONTEXT=URL` at which other clusters reach the API, for remote secrets; repeatable (default: the kubeconfig's, or what the API advertises)")
	fl.StringArrayVar(&f.gateways, "gateway-address", nil, "`CONTEXT=ADDRESS` at which other networks reach gateways that apply makes, where no load balancer gives one; repeatable")
	fl.DurationVar(&f.timeout, "step-timeout", 5*time.Minute, "time for each rollout")
	if writes {
		fl.BoolVar(&f.allowAgent, "allow-agent", false, "let a short-lived pod in each cluster make its CA key, which then never leaves the cluster")
		fl.StringVar(&f.agentImage, "agent-image", "", "`IMAGE` of meshprobe for that pod")
		fl.BoolVar(&f.write, "write", false, "really change the clusters of --contexts")
	}
}

func (f *federateLive) addAtOnce(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.atOnce, "at-once", false, "replace other roots in one restart of everything instead of three, during which calls fail")
}

// chosenProvider is "live" where flags name running clusters.
func (f *federateLive) chosenProvider(provider string) string {
	if f.chosen("contexts") {
		return live.Name
	}
	return provider
}

// only refuses these flags on embedded clusters.
func (f *federateLive) only(provider string) error {
	if provider == live.Name {
		return nil
	}
	for _, name := range []string{"write", "mesh", "allow-agent", "agent-image", "at-once", "server", "gateway-address", "step-timeout", "kubeconfig", "cluster-name", "network", "trust-domain", "revision", "root-namespace"} {
		if f.chosen(name) {
			return &usageError{msg: "--" + name + " is for running clusters, the provider is " + provider, hint: "name them: --contexts EAST,WEST"}
		}
	}
	return nil
}

// allowed refuses a verb that writes without leave, and one that would make a
// root that nobody could find again.
func (f *federateLive) allowed(v verb, root rootFlags) error {
	contexts := strings.Join(f.contexts, ",")
	if f.file != "" {
		contexts = "…"
	}
	if v.writes && !f.write {
		return &usageError{
			msg:  "federate " + v.name + " changes running clusters, which it does only with --write",
			hint: fmt.Sprintf("see what would change: meshprobe federate plan --contexts %s; then add --write", contexts),
		}
	}
	if f.allowAgent && f.agentImage == "" {
		return &usageError{msg: "--allow-agent needs the image of meshprobe that the pod runs", hint: "add: --agent-image REGISTRY/meshprobe:TAG (make image makes one)"}
	}
	if v.root && !root.kept() {
		return &usageError{
			msg:  "federate " + v.name + " on running clusters needs a place where the root is kept",
			hint: "--root-dir DIR keeps it on this machine, --root-secret CONTEXT/istio-system/mesh-root in a cluster",
		}
	}
	return nil
}

// openLive attaches to the clusters. What they say of themselves goes to
// standard error.
func (c *cli) openLive(ctx context.Context, f *federateLive, v verb, root rootFlags) (*federating, error) {
	if err := f.allowed(v, root); err != nil {
		return nil, err
	}
	topology, err := f.topology()
	if err != nil {
		return nil, err
	}
	provider, err := f.provider(ctx, topology)
	if err != nil {
		return nil, err
	}
	provider.Options.Write = f.write
	addresses, err := f.addresses(topology)
	if err != nil {
		return nil, err
	}
	fed, err := root.federation(ctx, byContext(topology))
	if err != nil {
		return nil, err
	}
	set, err := provider.Open(ctx, topology, c.found)
	if err != nil {
		return nil, err
	}
	for _, spec := range set.Topology.Clusters {
		if spec.Context == fed.secret.Cluster {
			fed.secret.Cluster = spec.Name
		}
	}
	out := &federating{federation: fed, set: set, live: true, write: f.write, rooted: root.kept()}
	if out.opts, err = fed.options(set); err == nil {
		err = f.options(ctx, set, addresses, &out.opts)
	}
	if !out.rooted {
		out.opts.Issuer = nil
	}
	if err != nil {
		return nil, errors.Join(err, closeSet(ctx, set))
	}
	return out, nil
}

// kept says that flags name a place for the root that outlives the run.
func (f *rootFlags) kept() bool {
	return slices.ContainsFunc([]string{"root-dir", "root-secret", "root-cert"}, f.chosen)
}

// byContext is a topology whose clusters are called by their contexts until it
// is known what they call themselves.
func byContext(t cluster.Topology) cluster.Topology {
	clusters := make([]cluster.ClusterSpec, len(t.Clusters))
	for i, spec := range t.Clusters {
		spec.Name = cmp.Or(spec.Name, spec.Context)
		clusters[i] = spec
	}
	t.Clusters = clusters
	return t
}

// contextAddresses are --server and --gateway-address by context.
type contextAddresses struct{ servers, gateways map[string]string }

// options are those of pkg/federate that clusters and flags decide.
func (f *federateLive) options(ctx context.Context, set *cluster.Set, at contextAddresses, o *federate.Options) error {
	o.Mesh, o.StepTimeout, o.VerifyTimeout, o.Overlap = f.mesh, f.timeout, 2*time.Minute, !f.atOnce
	o.Namespaces, o.Revisions = map[string]string{}, map[string]string{}
	o.Servers, o.GatewayAddresses = map[string]string{}, map[string]string{}
	for i, c := range set.Clusters {
		name, context := c.Name(), set.Topology.Clusters[i].Context
		if l, ok := cluster.As[*live.Cluster](c); ok {
			facts := l.Facts()
			o.Namespaces[name] = facts.RootNamespace
			if facts.Revision != "default" {
				o.Revisions[name] = facts.Revision
			}
		}
		o.GatewayAddresses[name] = at.gateways[context]
		o.Servers[name] = at.servers[context]
		if o.Servers[name] != "" {
			continue
		}
		var err error
		if o.Servers[name], err = federate.Advertised(ctx, c); err != nil {
			return err
		}
		if o.Servers[name] == "" {
			return &usageError{
				msg:  fmt.Sprintf("the kubeconfig reaches the API of %s at an address of this machine, and the API advertises no other", context),
				hint: fmt.Sprintf("say where the other clusters reach it: --server %s=https://HOST:6443", context),
			}
		}
	}
	return nil
}

// addresses reads --server and --gateway-address.
func (f *federateLive) addresses(t cluster.Topology) (contextAddresses, error) {
	var known []string
	for _, c := range t.Clusters {
		known = append(known, cmp.Or(c.Context, c.Name))
	}
	out := contextAddresses{map[string]string{}, map[string]string{}}
	for _, text := range f.servers {
		name, value, err := splitOverride("server", text, known)
		if err != nil {
			return out, err
		}
		if u, err := url.Parse(value); name == "" || err != nil || u.Scheme != "https" || u.Host == "" {
			return out, &usageError{msg: fmt.Sprintf("--server %q is not CONTEXT=URL with https", text), hint: fmt.Sprintf("for example: --server %s=https://10.0.0.1:6443", known[0])}
		}
		out.servers[name] = value
	}
	for _, text := range f.gateways {
		name, value, err := splitOverride("gateway-address", text, known)
		if err != nil {
			return out, err
		}
		if name == "" || strings.ContainsAny(value, ":/ ") && net.ParseIP(value) == nil {
			return out, &usageError{msg: fmt.Sprintf("--gateway-address %q is not CONTEXT=ADDRESS without a port", text), hint: fmt.Sprintf("for example: --gateway-address %s=10.0.0.1", known[0])}
		}
		out.gateways[name] = value
	}
	return out, nil
}
