// SPDX-License-Identifier: Apache-2.0

package live

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Labels by which services choose waypoints, and waypoints what they are for.
const (
	useWaypoint          = "istio.io/use-waypoint"
	useWaypointNamespace = "istio.io/use-waypoint-namespace"
	waypointFor          = "istio.io/waypoint-for"
	gatewayClassLabel    = "gateway.networking.k8s.io/gateway-class-name"
	waypointClass        = "istio-waypoint"
)

var _ cluster.Waypoints = (*Cluster)(nil)

// Waypoints implements cluster.Waypoints: the Gateways of class istio-waypoint
// that have a ready pod, in the namespaces that the topology names, where it
// names any.
func (c *Cluster) Waypoints(ctx context.Context) ([]cluster.Waypoint, error) {
	inv, err := c.inventory.get(ctx)
	if err != nil {
		return nil, err
	}
	if err := inv.need("pods", "services", "namespaces"); err != nil {
		return nil, err
	}
	newest := map[string]*corev1.Pod{}
	for _, p := range inv.pods {
		if p.Labels[gatewayClassLabel] != waypointClass || !ready(p) || p.DeletionTimestamp != nil || !c.looksAt(p.Namespace) {
			continue
		}
		key := p.Namespace + "/" + p.Labels[gatewayNameLabel]
		if best := newest[key]; best == nil || better(p, best) {
			newest[key] = p
		}
	}
	var out []cluster.Waypoint
	for key, p := range newest {
		out = append(out, c.waypoint(inv, key, p))
	}
	slices.SortFunc(out, func(a, b cluster.Waypoint) int { return strings.Compare(a.Key(), b.Key()) })
	return out, nil
}

// looksAt says that the topology names a namespace, or none at all.
func (c *Cluster) looksAt(namespace string) bool {
	spec := c.config.Spec.Namespaces
	return len(spec) == 0 || slices.ContainsFunc(spec, func(ns cluster.NamespaceSpec) bool { return ns.Name == namespace })
}

func (c *Cluster) waypoint(inv *inventory, key string, p *corev1.Pod) cluster.Waypoint {
	w := cluster.Waypoint{Workload: cluster.Workload{
		Ref:            cluster.Ref{Cluster: c.facts.Name, Namespace: p.Namespace, Name: p.Labels[gatewayNameLabel]},
		ServiceAccount: cmp.Or(p.Spec.ServiceAccountName, "default"), DataPlane: cluster.Ambient, Proxy: cluster.ProxyEnvoy,
		MTLS: cluster.Strict, Network: c.facts.Network, // HBONE is nothing but mutual TLS
	}}
	w.Address, _ = netip.ParseAddr(p.Status.PodIP)
	for service, s := range inv.services {
		if inv.waypointOf(service) != key {
			continue
		}
		for _, port := range s.Spec.Ports {
			if overTCP(port) {
				w.Services = append(w.Services, cluster.Service{
					Name: s.Name, Host: hostOf(s.Namespace, s.Name), Port: uint16(port.Port), Protocol: protocol(port), //nolint:gosec // the API bounds ports
				})
				break
			}
		}
	}
	slices.SortFunc(w.Services, func(a, b cluster.Service) int { return strings.Compare(a.Host, b.Host) })
	return w
}

// waypointOf is namespace/name of the waypoint in front of a service, empty
// where there is none: its own label, else its namespace's (istio
// pilot/pkg/serviceregistry/ambient/waypoints.go).
func (inv *inventory) waypointOf(service string) string {
	s := inv.services[service]
	if s == nil || s.Labels[gatewayNameLabel] != "" {
		return ""
	}
	from := s.Labels
	if from[useWaypoint] == "" {
		from = inv.namespaces[s.Namespace]
	}
	name := from[useWaypoint]
	if name == "" || name == "none" {
		return ""
	}
	key := cmp.Or(from[useWaypointNamespace], s.Namespace) + "/" + name
	at := inv.services[key]
	if at == nil || !slices.Contains([]string{"", "service", "all"}, at.Labels[waypointFor]) {
		return ""
	}
	return key
}

// identity is the name that istiod gives a workload.
func (w ambientWorkload) identity() string {
	return cluster.SPIFFEID(cmp.Or(w.TrustDomain, defaultTrustDomain), w.Namespace, cmp.Or(w.ServiceAccount, "default"))
}

// waypointService is the service of a waypoint, nil where istiod knows none.
func (v *ambientView) waypointService(at *networkGateway) *ambientService {
	i := slices.IndexFunc(v.Services, func(s ambientService) bool {
		if at.Hostname != nil {
			return s.Hostname == at.Hostname.Hostname && s.Namespace == at.Hostname.Namespace
		}
		return at.Address != nil && s.vip(at.Address.Network) == at.Address.Address
	})
	if i < 0 {
		return nil
	}
	return &v.Services[i]
}

// vip is the address of a service in a network, the zero one where it has none.
func (s ambientService) vip(network string) address {
	for _, a := range s.Addresses {
		if a.Network == network {
			return a.Address
		}
	}
	return address{}
}

// throughWaypoint is where a ztunnel sends calls of a service that has a
// waypoint: to a waypoint of its own network, by the service's address, or
// through the gateway of another network, by its name, where the waypoint there
// is shared. Whoever it meets is named by the waypoint's service; that of the
// called service lists workloads only (ztunnel src/proxy/outbound.rs,
// build_request; istio issue 61609).
func (v *ambientView) throughWaypoint(service *ambientService, port uint16) []cluster.Endpoint {
	waypoint := v.waypointService(service.Waypoint)
	if waypoint == nil {
		return nil
	}
	byName := net.JoinHostPort(service.Hostname, strconv.Itoa(int(port)))
	var out []cluster.Endpoint
	for _, w := range v.Workloads {
		target, serves := w.serves(waypoint, cmp.Or(service.Waypoint.Port, cluster.PortHBONE))
		if !serves {
			continue
		}
		ep := cluster.Endpoint{
			Cluster: w.ClusterID, Network: w.Network, DataPlane: cluster.Ambient, Authority: byName,
			Waypoint: waypoint.Namespace + "/" + waypoint.Name, Identities: slices.Clone(waypoint.Names),
		}
		switch at, ok := "", false; {
		case w.Gateway != nil:
			if at, ok = w.Gateway.address(); !ok {
				continue
			}
			ep.Address, ep.Gateway, ep.GatewayIdentities = at, true, v.gatewayIdentities(w.Gateway)
		case len(w.Addresses) > 0:
			ep.Address = net.JoinHostPort(netip.Addr(w.Addresses[0]).String(), strconv.Itoa(int(target)))
			if vip := netip.Addr(service.vip(w.Network)); vip.IsValid() {
				ep.Authority = netip.AddrPortFrom(vip, port).String()
			}
			ep.Identities = append(ep.Identities, w.identity())
			slices.Sort(ep.Identities)
			ep.Identities = slices.Compact(ep.Identities)
		default:
			continue
		}
		out = append(out, ep)
	}
	return out
}

// atWaypoint lists the endpoints in one cluster of a service that the caller's
// own cluster puts behind a waypoint.
func (q objectQuery) atWaypoint(peer *Cluster, inv *inventory, waypoint string) []cluster.Endpoint {
	at := objectQuery{c: q.c, from: q.from, own: q.own, key: waypoint, port: cluster.PortHBONE}
	var pods []*corev1.Pod
	for _, p := range inv.pods {
		if p.Labels[gatewayClassLabel] == waypointClass && p.Namespace+"/"+p.Labels[gatewayNameLabel] == waypoint && ready(p) {
			pods = append(pods, p)
		}
	}
	service := inv.services[waypoint]
	if service == nil || len(pods) == 0 {
		return nil
	}
	names := identities(q.c.TrustDomain(), pods)
	port := strconv.Itoa(int(q.port))
	if at.crosses(peer, inv, cluster.Ambient) {
		if !at.shared(q.own) || !inv.global(service) {
			return nil
		}
		through := at.through(peer, inv, map[cluster.DataPlane][]*corev1.Pod{cluster.Ambient: pods})
		for i := range through {
			through[i].Authority, through[i].Waypoint = net.JoinHostPort(q.host(), port), waypoint
		}
		return through
	}
	authority := net.JoinHostPort(q.host(), port)
	if s := inv.services[q.key]; s != nil && net.ParseIP(s.Spec.ClusterIP) != nil {
		authority = net.JoinHostPort(s.Spec.ClusterIP, port)
	}
	var out []cluster.Endpoint
	for _, p := range pods {
		out = append(out, cluster.Endpoint{
			Cluster: peer.Name(), Network: peer.Network(), DataPlane: cluster.Ambient, Waypoint: waypoint, Authority: authority,
			Address: net.JoinHostPort(p.Status.PodIP, strconv.Itoa(cluster.PortHBONE)), Identities: names,
		})
	}
	return out
}
