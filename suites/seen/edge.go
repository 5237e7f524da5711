// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// Edge is one call across the mesh: where the caller's control plane sends
// it, who the caller is, whom both sides trust, and what became of it.
type Edge struct {
	At       time.Time         `json:"at"`
	Edge     cluster.Edge      `json:"edge"`
	Source   cluster.Workload  `json:"source"`
	Peer     cluster.Proxy     `json:"peer"` // kind of peer that answers in the destination
	PeerMTLS cluster.MTLSMode  `json:"peerMTLS"`
	Endpoint *cluster.Endpoint `json:"endpoint"` // null: the control plane offers none in the destination cluster
	Offered  int               `json:"offered"`  // endpoints in all clusters
	Network  string            `json:"network"`  // of the source
	Control  string            `json:"control"`  // error of a control dial from the same workload, empty where it worked or was not needed

	OwnWaypoint   string   `json:"ownWaypoint,omitempty"`   // no endpoint: all calls go to this waypoint of the caller's, which chooses
	PeerWaypoints []string `json:"peerWaypoints,omitempty"` // SPIFFE IDs of the destination's waypoints

	ClientRoots Certs    `json:"clientRoots"` // what the source verifies peers with
	ServerRoots Certs    `json:"serverRoots"` // what the destination verifies peers with
	ClientTrust []string `json:"clientTrust"` // trust domain of the source, then its aliases
	ServerTrust []string `json:"serverTrust"` // of the destination

	Outer Layer  `json:"outer"` // the only layer of sidecar mTLS, where no HBONE fields are set
	Inner *Layer `json:"inner,omitempty"`
}

// SidecarEdges observes sidecar mTLS over each sidecar edge.
func SidecarEdges() probe.Observation[cluster.Edge, Edge] {
	return probe.Observation[cluster.Edge, Edge]{
		Name: "edge/sidecar", Over: probe.Edges(cluster.Sidecar), Observe: observeSidecarEdge,
	}
}

// AmbientEdges observes double HBONE over each ambient edge.
func AmbientEdges() probe.Observation[cluster.Edge, Edge] {
	return probe.Observation[cluster.Edge, Edge]{
		Name: "edge/ambient", Over: probe.Edges(cluster.Ambient), Observe: observeAmbientEdge,
	}
}

func observeSidecarEdge(ctx context.Context, env *probe.Env, e cluster.Edge) (Edge, error) {
	o, src, id, err := prepare(ctx, env, e)
	if err != nil || o.Endpoint == nil {
		return o, err
	}
	look, cancel := Short(ctx)
	defer cancel()
	o.Outer.Handshake = Try(look, env, DialFrom(src, o.Source, o.Endpoint.Address), Hello{
		Address: o.Endpoint.Address, SNI: o.Endpoint.SNI, ALPN: cluster.SidecarALPN(), Identity: id,
	})
	return o, o.control(ctx, src)
}

func observeAmbientEdge(ctx context.Context, env *probe.Env, e cluster.Edge) (Edge, error) {
	o, src, id, err := prepare(ctx, env, e)
	if err != nil || o.Endpoint == nil {
		return o, err
	}
	look, cancel := Short(ctx)
	defer cancel()
	if err := o.ambient(look, env, src, id); err != nil {
		return o, err
	}
	return o, o.control(ctx, src)
}

// ambient opens HBONE to the endpoint, and HBONE inside it where the endpoint
// is a gateway.
func (o *Edge) ambient(ctx context.Context, env *probe.Env, src cluster.Cluster, id *cluster.Identity) error {
	outer := o.Outer.Session(ctx, env, id, o.Endpoint.Address, DialFrom(src, o.Source, o.Endpoint.Address))
	if outer == nil {
		return nil
	}
	defer func() { _ = outer.Close() }()
	tunnel := o.Outer.Connect(ctx, outer, o.Endpoint.Authority)
	if tunnel == nil || !o.Endpoint.Gateway {
		return closeTunnel(tunnel)
	}
	defer func() { _ = tunnel.Close() }()
	o.Inner = &Layer{}
	inner := o.Inner.Inner(ctx, env, id, tunnel)
	if inner == nil {
		// An ambient gateway may answer 200 first and reset once bytes flow.
		o.Outer.Reset = o.Inner.Reset
		return nil
	}
	defer func() { _ = inner.Close() }()
	return closeTunnel(o.Inner.Connect(ctx, inner, o.Endpoint.Authority))
}

func closeTunnel(c *hbone.Conn) error {
	if c == nil {
		return nil
	}
	_ = c.Close() // what the tunnel was for has been seen
	return nil
}

// prepare resolves the edge and mints the caller's identity.
func prepare(ctx context.Context, env *probe.Env, e cluster.Edge) (Edge, cluster.Cluster, *cluster.Identity, error) {
	o := Edge{At: env.Now(), Edge: e}
	src, source, err := env.Source(e)
	if err != nil {
		return o, nil, nil, err
	}
	dst, ok := env.Set.Cluster(e.To.Cluster)
	destinations := env.Destinations(e)
	if len(destinations) == 0 && len(env.Lacks) > 0 {
		return o, nil, nil, env.Lacks[0]
	}
	if !ok || len(destinations) == 0 {
		return o, nil, nil, fmt.Errorf("no workload behind %s", e.To)
	}
	o.Source, o.Network = source, source.Network
	o.Peer, o.PeerMTLS = destinations[0].Proxy, destinations[0].MTLS
	o.ClientTrust, o.ServerTrust = TrustDomains(src), TrustDomains(dst)
	for _, w := range env.Waypoints {
		if w.Cluster == e.To.Cluster {
			o.PeerWaypoints = append(o.PeerWaypoints, w.SPIFFEID(dst.TrustDomain()))
		}
	}
	if o.ClientRoots, err = Bundle(ctx, src, source.Namespace); err != nil {
		return o, nil, nil, err
	}
	if o.ServerRoots, err = Bundle(ctx, dst, e.To.Namespace); err != nil {
		return o, nil, nil, err
	}
	if err := o.resolve(ctx, src, *destinations[0].Service); err != nil {
		return o, nil, nil, err
	}
	if o.Endpoint != nil {
		if err := reach(ctx, src, source, o.Endpoint.Address); err != nil {
			return o, nil, nil, err
		}
	}
	id, err := Identity(ctx, src, source)
	return o, src, id, err
}

// TrustDomains is the trust domain of a cluster, then its aliases.
func TrustDomains(c cluster.Cluster) []string {
	return append([]string{c.TrustDomain()}, c.TrustDomainAliases()...)
}

// Bundle is the trust anchors that a namespace verifies peers with. A forbidden
// read is a *probe.DeniedError.
func Bundle(ctx context.Context, c cluster.Cluster, namespace string) (Certs, error) {
	b, ok := cluster.As[cluster.Bundles](c)
	if !ok {
		return nil, fmt.Errorf("%s: the provider reads no trust bundles", c.Name())
	}
	roots, err := b.TrustBundle(ctx, namespace)
	if err != nil {
		return nil, APIError(err, "get", "configmaps in "+namespace)
	}
	return FromX509(roots), nil
}

// Identity is an SVID of the workload's service account, from its cluster's own
// CA. A forbidden token request is a *probe.DeniedError.
func Identity(ctx context.Context, c cluster.Cluster, w cluster.Workload) (*cluster.Identity, error) {
	ids, ok := cluster.As[cluster.Identities](c)
	if !ok {
		return nil, fmt.Errorf("%s: the provider mints no identities", c.Name())
	}
	id, err := ids.Identity(ctx, w.Namespace, w.ServiceAccount)
	if err != nil {
		return nil, APIError(fmt.Errorf("identity of %s/%s in %s: %w", w.Namespace, w.ServiceAccount, c.Name(), err),
			"create", "serviceaccounts/token in "+w.Namespace)
	}
	return id, nil
}

// resolve keeps the endpoint in the destination cluster, if there is one.
func (o *Edge) resolve(ctx context.Context, src cluster.Cluster, svc cluster.Service) error {
	r, ok := cluster.As[cluster.Resolver](src)
	if !ok {
		return fmt.Errorf("%s: the provider resolves no services", src.Name())
	}
	endpoints, err := r.Resolve(ctx, o.Source, svc.Host, svc.Port)
	if err != nil {
		return APIError(err, "list", "endpoints")
	}
	o.Offered = len(endpoints)
	for i, ep := range endpoints {
		if ep.Cluster != o.Edge.To.Cluster {
			o.OwnWaypoint = cmp.Or(o.OwnWaypoint, ep.Waypoint)
			continue
		}
		if o.Endpoint == nil || ep.DataPlane == o.Edge.DataPlane && o.Endpoint.DataPlane != ep.DataPlane {
			o.Endpoint = &endpoints[i]
		}
	}
	if o.Endpoint != nil {
		o.OwnWaypoint = ""
	}
	return nil
}

// control tells a dead target from a dead vantage point, for the judges where
// the target was not reached, and as an error where it fell silent later.
func (o *Edge) control(ctx context.Context, src cluster.Cluster) error {
	switch {
	case o.Outer.far != nil:
		return o.Outer.far
	case o.Outer.Outcome == Unreachable:
		o.Control = Control(ctx, src, o.Source)
		return nil
	case o.Outer.cutOff(), o.Inner != nil && o.Inner.cutOff():
		return alive(ctx, src, o.Source)
	}
	return nil
}

// DialFrom opens streams from a workload, short of an observation's time.
func DialFrom(c cluster.Cluster, from cluster.Workload, addr string) Dial {
	return func(ctx context.Context) (net.Conn, error) {
		// Short of the observation's time, so that a control dial fits in.
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		return c.Dial(ctx, from, addr)
	}
}
