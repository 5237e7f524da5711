// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"context"
	"iter"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// The names that no gateway knows.
const (
	unknownHost      = "nobody.meshprobe.svc.cluster.local"
	unknownPort      = 9
	UnknownAuthority = "nobody.meshprobe.svc.cluster.local:9"
)

// Gateway is the east-west gateway of a cluster as another cluster meets it.
type Gateway struct {
	Edge           // an edge into the cluster, and what came of a known name
	Unknown  Layer `json:"unknown"`            // the same with a name that the gateway cannot know
	Tunneled Layer `json:"tunneled,omitempty"` // HBONE: what a 200 for that name leads to
}

// Passthroughs observes the 15443 gateway of each cluster that a sidecar edge
// of another cluster leads into.
func Passthroughs() probe.Observation[probe.ClusterSubject, Gateway] {
	return probe.Observation[probe.ClusterSubject, Gateway]{
		Name: "gateway/passthrough", Over: entered(cluster.Sidecar), Observe: observePassthrough,
	}
}

// HBONEGateways observes the 15008 gateway of each cluster that an ambient
// edge of another cluster leads into.
func HBONEGateways() probe.Observation[probe.ClusterSubject, Gateway] {
	return probe.Observation[probe.ClusterSubject, Gateway]{
		Name: "gateway/hbone", Over: entered(cluster.Ambient), Observe: observeHBONEGateway,
	}
}

// entered yields the clusters that an edge of another network leads into.
func entered(dp cluster.DataPlane) func(*probe.Env) iter.Seq[probe.ClusterSubject] {
	return func(env *probe.Env) iter.Seq[probe.ClusterSubject] {
		return func(yield func(probe.ClusterSubject) bool) {
			for c := range probe.Clusters(env) {
				if _, ok := edgeInto(env, c.Cluster, dp); ok && !yield(c) {
					return
				}
			}
		}
	}
}

func edgeInto(env *probe.Env, c cluster.Cluster, dp cluster.DataPlane) (cluster.Edge, bool) {
	for e := range probe.Edges(dp)(env) {
		src, ok := env.Set.Cluster(e.From.Cluster)
		if ok && e.To.Cluster == c.Name() && src.Network() != c.Network() {
			return e, true
		}
	}
	return cluster.Edge{}, false
}

func observePassthrough(ctx context.Context, env *probe.Env, c probe.ClusterSubject) (Gateway, error) {
	edge, _ := edgeInto(env, c.Cluster, cluster.Sidecar)
	o, src, id, err := prepare(ctx, env, edge)
	g := Gateway{Edge: o}
	if err != nil || o.Endpoint == nil {
		return g, err
	}
	addr := o.Endpoint.Address
	dial := DialFrom(src, o.Source, addr)
	hello := Hello{Address: addr, SNI: o.Endpoint.SNI, ALPN: cluster.SidecarALPN(), Identity: id}
	g.Outer.Handshake = Try(ctx, env, dial, hello)
	g.control(ctx, src)
	if g.Outer.Outcome == Unreachable {
		return g, nil
	}
	hello.SNI = cluster.SNI(unknownHost, unknownPort)
	g.Unknown.Handshake = Try(ctx, env, dial, hello)
	return g, nil
}

func observeHBONEGateway(ctx context.Context, env *probe.Env, c probe.ClusterSubject) (Gateway, error) {
	edge, _ := edgeInto(env, c.Cluster, cluster.Ambient)
	o, src, id, err := prepare(ctx, env, edge)
	g := Gateway{Edge: o}
	if err != nil || o.Endpoint == nil {
		return g, err
	}
	addr := o.Endpoint.Address
	s := g.Outer.Session(ctx, env, id, addr, DialFrom(src, o.Source, addr))
	g.control(ctx, src)
	if s == nil {
		return g, nil
	}
	defer func() { _ = s.Close() }()
	if err := closeTunnel(g.Outer.Connect(ctx, s, o.Endpoint.Authority)); err != nil {
		return g, err
	}
	g.Unknown.Handshake = g.Outer.Handshake
	tunnel := g.Unknown.Connect(ctx, s, UnknownAuthority)
	if tunnel == nil {
		return g, nil
	}
	return g, g.through(ctx, env, id, tunnel)
}

// through finds out where a tunnel for an unknown name leads: Envoy may answer
// 200 first and reset the stream once bytes flow.
func (g *Gateway) through(ctx context.Context, env *probe.Env, id *cluster.Identity, tunnel *hbone.Conn) error {
	defer func() { _ = tunnel.Close() }()
	if inner := g.Tunneled.Inner(ctx, env, id, tunnel); inner != nil {
		return inner.Close()
	}
	return nil
}
