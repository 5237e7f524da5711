// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/live"
	"github.com/meshprobe/meshprobe/suites/endpoint"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// maxFrom bounds the workloads among which the one of --from is looked for.
const maxFrom = 10_000

// origin splits --from at its last two slashes: contexts may hold some.
func (f *probeFlags) origin() (context string, ref cluster.Ref, bad *usageError) {
	rest, name, ok := cutLast(f.from)
	if ok {
		context, ref.Namespace, ok = cutLast(rest)
	}
	if !ok || name == "" || ref.Namespace == "" {
		return "", ref, &usageError{msg: fmt.Sprintf("--from %q is not CONTEXT/NAMESPACE/WORKLOAD", f.from), hint: "for example: --from kind-east/shop/reviews"}
	}
	ref.Name = name
	return context, ref, nil
}

// checkFrom refuses flags about clusters that cannot be meant.
func (f *probeFlags) checkFrom() error {
	for _, flag := range []string{"contexts", "kubeconfig"} {
		if f.chosen(flag) && !f.chosen("from") {
			return &usageError{msg: "--" + flag + " without --from", hint: "say which workload to look from: --from CONTEXT/NAMESPACE/WORKLOAD"}
		}
	}
	if !f.chosen("from") {
		return nil
	}
	if _, _, bad := f.origin(); bad != nil {
		return bad
	}
	return nil
}

// station is a workload to look from.
type station struct {
	set      *cluster.Set
	cluster  cluster.Cluster
	workload cluster.Workload
}

// stationed attaches, read-only, to the cluster of --from and to those of
// --contexts, whose gateways its workloads may call.
func (f *probeFlags) stationed(ctx context.Context, c *cli) (*station, error) {
	context, ref, bad := f.origin()
	if bad != nil {
		return nil, bad
	}
	t := cluster.Topology{Version: cluster.TopologyVersion, Clusters: []cluster.ClusterSpec{{Context: context}}}
	for _, other := range f.contexts {
		if !slices.ContainsFunc(t.Clusters, func(s cluster.ClusterSpec) bool { return s.Context == other }) {
			t.Clusters = append(t.Clusters, cluster.ClusterSpec{Context: other})
		}
	}
	p := &live.Provider{Options: live.Options{Kubeconfigs: f.kubeconfigs, MaxWorkloads: maxFrom}}
	if ce, ok := errors.AsType[*live.ContextError](p.Check(t)); ok {
		return nil, &usageError{msg: "--from: " + ce.Msg, hint: ce.Hint}
	}
	set, err := p.Open(ctx, t, c.found)
	if err != nil {
		return nil, err
	}
	s := &station{set: set, cluster: set.Clusters[0]}
	if s.workload, err = workloadOf(ctx, s.cluster, ref); err != nil {
		return nil, errors.Join(err, closeSet(ctx, set))
	}
	return s, nil
}

// workloadOf finds a workload, or says which there are.
func workloadOf(ctx context.Context, in cluster.Cluster, ref cluster.Ref) (cluster.Workload, error) {
	ws, err := in.Workloads(ctx)
	if err != nil {
		return cluster.Workload{}, err
	}
	names := make([]string, 0, len(ws))
	for _, w := range ws {
		if w.Namespace == ref.Namespace && w.Name == ref.Name {
			return w, nil
		}
		names = append(names, w.Namespace+"/"+w.Name)
	}
	wanted := ref.Namespace + "/" + ref.Name
	return cluster.Workload{}, &usageError{
		msg:  fmt.Sprintf("--from: %s has no workload %s in the mesh", in.Name(), wanted),
		hint: cluster.DidYouMean(wanted, names),
	}
}

// dial opens streams as the workload would.
func (s *station) dial(ctx context.Context, _, address string) (net.Conn, error) {
	conn, err := s.cluster.Dial(ctx, s.workload, address)
	if out, ok := errors.AsType[*cluster.OutOfReachError](err); ok && out.Hint != "" {
		return nil, fmt.Errorf("%w; %s", err, out.Hint)
	}
	return conn, err
}

// identify gives the target an SVID of the workload's account, and the question
// the trust anchors of its namespace, where flags gave no others.
func (s *station) identify(ctx context.Context, f *probeFlags, t *wire.Target, a *endpoint.Asked) error {
	if mint, ok := s.cluster.(cluster.Identities); ok && f.cert == "" && f.socket == "" {
		id, err := mint.Identity(ctx, s.workload.Namespace, s.workload.ServiceAccount)
		if err != nil {
			return err
		}
		t.Identity = id
	}
	if bundles, ok := s.cluster.(cluster.Bundles); ok && len(a.Bundle) == 0 {
		roots, err := bundles.TrustBundle(ctx, s.workload.Namespace)
		if err != nil {
			return err
		}
		a.Bundle = seen.FromX509(roots)
	}
	return nil
}
