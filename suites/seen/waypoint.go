// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// Waypoint is what answers for the services behind a waypoint inside its own
// network: its certificate, and what becomes of calls to the first of them.
type Waypoint struct {
	At       time.Time        `json:"at"`
	Waypoint cluster.Waypoint `json:"waypoint"`
	Source   cluster.Workload `json:"source"` // where the client runs
	Trust    []string         `json:"trust"`  // trust domain of the cluster, then aliases
	Roots    Certs            `json:"roots"`  // what both sides should verify with

	// Told is where a ztunnel of the cluster is told to send calls of the first
	// service behind it; null: not to this waypoint, or nothing is behind it.
	Told    *cluster.Endpoint `json:"told"`
	Control string            `json:"control,omitempty"`

	Good   Layer `json:"good"`   // a client of the mesh; CONNECT as a ztunnel of the cluster has it
	Answer Plain `json:"answer"` // to a request through that tunnel

	ByName     Layer `json:"byName"`     // CONNECT by the service's name, as it comes from another network
	NameAnswer Plain `json:"nameAnswer"` // to a request through that tunnel
}

// Waypoints observes each waypoint.
func Waypoints() probe.Observation[cluster.Waypoint, Waypoint] {
	return probe.Observation[cluster.Waypoint, Waypoint]{
		Name: "listener/waypoint", Over: probe.Waypoints, Observe: observeWaypoint,
	}
}

func observeWaypoint(ctx context.Context, env *probe.Env, w cluster.Waypoint) (Waypoint, error) {
	o := Waypoint{At: env.Now(), Waypoint: w, Source: neighbour(env, w.Workload)}
	c, ok := env.Set.Cluster(w.Cluster)
	if !ok {
		return o, fmt.Errorf("no cluster %s", w.Cluster)
	}
	o.Trust = TrustDomains(c)
	var err error
	if o.Roots, err = Bundle(ctx, c, w.Namespace); err != nil {
		return o, err
	}
	if err := o.resolve(ctx, c); err != nil {
		return o, err
	}
	id, err := Identity(ctx, c, o.Source)
	if err != nil {
		return o, err
	}
	if err := reach(ctx, c, o.Source, o.address()); err != nil {
		return o, err
	}
	look, cancel := Short(ctx)
	defer cancel()
	dial := DialFrom(c, o.Source, o.address())
	authority := ""
	if o.Told != nil {
		authority = o.Told.Authority
	}
	o.Answer = o.Good.ask(look, env, id, o.address(), dial, authority)
	if s := o.Waypoint.Services; o.Told != nil && o.Good.Outcome.OK() {
		// Over a connection of its own: Envoy keeps the destination of a CONNECT
		// with the connection.
		o.NameAnswer = o.ByName.ask(look, env, id, o.address(), dial, net.JoinHostPort(s[0].Host, strconv.Itoa(int(s[0].Port))))
	}
	switch {
	case o.Good.Outcome == Unreachable:
		o.Control = Control(ctx, c, o.Source)
	case o.Good.cutOff():
		return o, alive(ctx, c, o.Source)
	}
	return o, nil
}

func (o *Waypoint) address() string {
	return netip.AddrPortFrom(o.Waypoint.Address, cluster.PortHBONE).String()
}

// resolve asks where a ztunnel beside the source sends calls of the first
// service behind the waypoint.
func (o *Waypoint) resolve(ctx context.Context, c cluster.Cluster) error {
	r, ok := cluster.As[cluster.Resolver](c)
	if !ok || len(o.Waypoint.Services) == 0 {
		return nil
	}
	from, s := o.Source, o.Waypoint.Services[0]
	from.DataPlane = cluster.Ambient // sidecars know no waypoints
	endpoints, err := r.Resolve(ctx, from, s.Host, s.Port)
	if err != nil {
		return APIError(err, "list", "endpoints")
	}
	for i, ep := range endpoints {
		if ep.Cluster == o.Waypoint.Cluster && ep.Waypoint == o.Waypoint.Key() {
			o.Told = &endpoints[i]
			return nil
		}
	}
	return nil
}

// ask opens an HBONE connection and, where there is an authority, a tunnel, and
// sends a plaintext request through that.
func (l *Layer) ask(ctx context.Context, env *probe.Env, id *cluster.Identity, addr string, dial Dial, authority string) Plain {
	s := l.Session(ctx, env, id, addr, dial)
	if s == nil {
		return Plain{}
	}
	defer func() { _ = s.Close() }()
	if authority == "" {
		return Plain{}
	}
	tunnel := l.Connect(ctx, s, authority)
	if tunnel == nil {
		return Plain{}
	}
	return TryPlain(ctx, func(context.Context) (net.Conn, error) { return tunnel, nil }, authority)
}
