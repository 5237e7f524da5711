// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"context"
	"iter"
	"strings"

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
	Edge            // an edge into the cluster, and what came of a known name
	NoCaller string `json:"noCaller,omitempty"` // why the caller got no certificate, so that nothing was tried
	Unknown  Layer  `json:"unknown"`            // the same with a name that the gateway cannot know
	Tunneled Layer  `json:"tunneled"`           // HBONE: what a 200 for that name leads to

	ControlPlane cluster.ControlPlane `json:"controlPlane,omitzero"` // of the cluster that is entered
}

// OfControlPlane says whether an identity is that of something in the root
// namespace of the cluster that is entered, where its gateways are.
func (g Gateway) OfControlPlane(id string) bool {
	return strings.Contains(id, "/ns/"+g.ControlPlane.Namespace()+"/sa/")
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
	g, src, id, ready, err := approach(ctx, env, edge)
	if !ready {
		return g, err
	}
	look, cancel := Short(ctx)
	defer cancel()
	g.ControlPlane = cluster.ControlPlaneOf(c.Cluster)
	addr := g.Endpoint.Address
	dial := DialFrom(src, g.Source, addr)
	hello := Hello{Address: addr, SNI: g.Endpoint.SNI, ALPN: cluster.SidecarALPN(), Identity: id}
	g.Outer.Handshake = Try(look, env, dial, hello)
	if g.Outer.Outcome != Unreachable {
		hello.SNI = cluster.SNI(unknownHost, unknownPort)
		g.Unknown.Handshake = Try(look, env, dial, hello)
	}
	return g, g.control(ctx, src)
}

func observeHBONEGateway(ctx context.Context, env *probe.Env, c probe.ClusterSubject) (Gateway, error) {
	edge, _ := edgeInto(env, c.Cluster, cluster.Ambient)
	g, src, id, ready, err := approach(ctx, env, edge)
	if !ready {
		return g, err
	}
	look, cancel := Short(ctx)
	defer cancel()
	if err := g.hbone(look, env, src, id); err != nil {
		return g, err
	}
	return g, g.control(ctx, src)
}

// hbone asks the gateway for a known name, then for an unknown one, each over a
// connection of its own: Envoy keeps the destination of a CONNECT with the
// connection, so that one for an unknown name would follow a known one before it
// to where that led.
func (g *Gateway) hbone(ctx context.Context, env *probe.Env, src cluster.Cluster, id *cluster.Identity) error {
	addr := g.Endpoint.Address
	s := g.Outer.Session(ctx, env, id, addr, DialFrom(src, g.Source, addr))
	if s == nil {
		return nil
	}
	defer func() { _ = s.Close() }()
	if err := closeTunnel(g.Outer.Connect(ctx, s, g.Endpoint.Authority)); err != nil {
		return err
	}
	other := g.Unknown.Session(ctx, env, id, addr, DialFrom(src, g.Source, addr))
	if other == nil {
		return nil
	}
	defer func() { _ = other.Close() }()
	tunnel := g.Unknown.Connect(ctx, other, UnknownAuthority)
	if tunnel == nil {
		return nil
	}
	return g.through(ctx, env, id, tunnel)
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
