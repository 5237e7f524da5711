// SPDX-License-Identifier: Apache-2.0

package live

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Resolve implements cluster.Resolver. What the caller itself was told comes
// first: the EDS of its sidecar, or what istiod tells its ztunnel. Where neither
// can be asked the answer is computed from objects, as istiod would.
func (c *Cluster) Resolve(ctx context.Context, from cluster.Workload, host string, port uint16) ([]cluster.Endpoint, error) {
	key := serviceKey(host, from.Namespace)
	ns, name, _ := strings.Cut(key, "/")
	host = hostOf(ns, name)
	var found []cluster.Endpoint
	err := errNotTold
	switch from.DataPlane {
	case cluster.Sidecar:
		found, err = c.fromSidecar(ctx, from, host, port)
	case cluster.Ambient:
		found, err = c.fromIstiod(ctx, host, port)
	case cluster.NoMesh:
	}
	if err != nil {
		if _, isDenied := errors.AsType[*cluster.DeniedError](err); isDenied || ctx.Err() != nil {
			return nil, err
		}
		if found, err = c.fromObjects(ctx, from, key, port); err != nil {
			return nil, err
		}
	}
	c.handedOut.note(c.Name(), found, c.internal(ctx))
	slices.SortStableFunc(found, func(a, b cluster.Endpoint) int {
		return cmp.Or(boolCompare(a.Cluster != c.Name(), b.Cluster != c.Name()), strings.Compare(a.Cluster, b.Cluster))
	})
	return found, ctx.Err()
}

// internal says of an address whether it exists only inside another cluster: a
// gateway that has no outside address is handed out with its cluster IP, which
// nobody elsewhere reaches and which is not to be dialed.
func (c *Cluster) internal(ctx context.Context) func(host string) bool {
	return func(host string) bool {
		for _, peer := range c.joined() {
			inv, err := peer.inventory.get(ctx)
			if err == nil && peer != c && len(inv.outside[host]) == 0 && (inv.byVIP[host] != nil || inv.byAddress[host] != nil) {
				return true
			}
		}
		return false
	}
}

// errNotTold says that there is nobody to ask what a caller was told.
var errNotTold = errors.New("nobody can be asked")

// fromSidecar turns the EDS of a caller's sidecar into endpoints.
func (c *Cluster) fromSidecar(ctx context.Context, from cluster.Workload, host string, port uint16) ([]cluster.Endpoint, error) {
	view, err := c.ask(ctx, from, host, port)
	if err != nil {
		return nil, err
	}
	var out []cluster.Endpoint
	for _, e := range view.endpoints {
		ip, _, err := net.SplitHostPort(e.address)
		if err != nil {
			continue
		}
		ep := cluster.Endpoint{Address: e.address, DataPlane: cluster.NoMesh}
		owner, gateway := c.ownerOf(ctx, ip)
		ep.Gateway = gateway
		if owner != nil {
			ep.Cluster, ep.Network = owner.Name(), owner.Network()
		}
		switch {
		case e.tunnel:
			ep.DataPlane, ep.Authority = cluster.Ambient, e.address
			ep.Address = net.JoinHostPort(ip, strconv.Itoa(cluster.PortHBONE))
			ep.Identities = slices.Clone(view.identities)
		case e.tls:
			ep.DataPlane, ep.SNI, ep.Identities = cluster.Sidecar, view.sni, slices.Clone(view.identities)
		}
		out = append(out, ep)
	}
	return out, nil
}

// ownerOf finds the cluster in which an address lies: the one whose gateway it
// is, else the one in which it is a pod, this one first. Where ranges of pods
// overlap, what is no pod here is one elsewhere.
func (c *Cluster) ownerOf(ctx context.Context, ip string) (owner *Cluster, gateway bool) {
	peers := c.joined()
	for _, peer := range peers {
		if inv, err := peer.inventory.get(ctx); err == nil && len(inv.outside[ip]) > 0 {
			return peer, true
		}
	}
	others := slices.DeleteFunc(slices.Clone(peers), func(p *Cluster) bool { return p == c })
	for _, peer := range append([]*Cluster{c}, others...) {
		if inv, err := peer.inventory.get(ctx); err == nil && inv.byAddress[ip] != nil {
			return peer, false
		}
	}
	return nil, false
}

// fromIstiod turns what istiod tells ztunnels into endpoints.
func (c *Cluster) fromIstiod(ctx context.Context, host string, port uint16) ([]cluster.Endpoint, error) {
	view, err := c.ambientView(ctx)
	if err != nil {
		return nil, err
	}
	service := view.service(host)
	if service == nil {
		return nil, nil
	}
	if service.Waypoint != nil {
		return view.throughWaypoint(service, port), nil
	}
	var out []cluster.Endpoint
	for _, w := range view.Workloads {
		target, serves := w.serves(service, port)
		if !serves {
			continue
		}
		ep := cluster.Endpoint{
			Cluster: w.ClusterID, Network: w.Network, DataPlane: cluster.Ambient, Identities: slices.Clone(service.Names),
		}
		if g := w.Gateway; g != nil {
			at, ok := g.address()
			if !ok {
				continue
			}
			ep.Address, ep.Gateway = at, true
			ep.Authority = net.JoinHostPort(host, strconv.Itoa(int(port)))
			ep.GatewayIdentities = view.gatewayIdentities(g)
		} else if len(w.Addresses) > 0 {
			ip := netip.Addr(w.Addresses[0]).String()
			ep.Address, ep.Authority = net.JoinHostPort(ip, strconv.Itoa(cluster.PortHBONE)), net.JoinHostPort(ip, strconv.Itoa(int(target)))
			ep.Identities = []string{w.identity()}
			if w.Tunnel != "HBONE" {
				ep.Address, ep.Authority, ep.DataPlane, ep.Identities = ep.Authority, "", cluster.NoMesh, nil
			}
		} else {
			continue
		}
		out = append(out, ep)
	}
	return out, nil
}
