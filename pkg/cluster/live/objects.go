// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

const multiClusterLabel = "istio/multiCluster"

// fromObjects computes what istiod would tell a caller: from the objects of
// this cluster, and of each joined one that a remote secret names.
func (c *Cluster) fromObjects(ctx context.Context, from cluster.Workload, key string, port uint16) ([]cluster.Endpoint, error) {
	known, err := c.remotes(ctx)
	if err != nil {
		return nil, err
	}
	q := objectQuery{c: c, from: from, key: key, port: port}
	if q.own, err = c.inventory.get(ctx); err != nil {
		return nil, err
	}
	if err := q.own.need("namespaces", "services", "endpointslices", "pods"); err != nil {
		return nil, err
	}
	var out []cluster.Endpoint
	for _, peer := range c.joined() {
		if peer != c && !known[peer.Name()] {
			continue
		}
		inv, err := peer.inventory.get(ctx)
		if err != nil {
			continue // a remote that does not answer contributes nothing
		}
		if err := inv.need("namespaces", "services", "endpointslices", "pods"); err != nil {
			return nil, err
		}
		if err := inv.need("gateways"); err != nil && from.DataPlane == cluster.Ambient {
			return nil, err
		}
		if waypoint := q.own.waypointOf(key); waypoint != "" && from.DataPlane == cluster.Ambient {
			out = append(out, q.atWaypoint(peer, inv, waypoint)...)
			continue
		}
		out = append(out, q.in(peer, inv)...)
	}
	return out, nil
}

// remotes names the clusters that this one's istiod reads.
func (c *Cluster) remotes(ctx context.Context) (map[string]bool, error) {
	list, err := c.kube.CoreV1().Secrets(c.facts.RootNamespace).List(ctx, metav1.ListOptions{LabelSelector: multiClusterLabel + "=true"})
	if err != nil {
		return nil, fmt.Errorf("live: remote secrets of %s: %w", c.Name(), deny(err, "list", "secrets in "+c.facts.RootNamespace))
	}
	known := map[string]bool{}
	for _, s := range list.Items {
		for name := range s.Data {
			known[name] = true
		}
	}
	return known, nil
}

// objectQuery is one resolution from objects.
type objectQuery struct {
	c    *Cluster
	from cluster.Workload
	own  *inventory
	key  string // namespace/name of the service
	port uint16
}

// in lists the endpoints that lie in one cluster.
func (q objectQuery) in(peer *Cluster, inv *inventory) []cluster.Endpoint {
	s := inv.services[q.key]
	if s == nil {
		return nil
	}
	i := slices.IndexFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return overTCP(p) && p.Port == int32(q.port) })
	if i < 0 {
		return nil
	}
	var out []cluster.Endpoint
	behind := map[cluster.DataPlane][]*corev1.Pod{}
	for _, slice := range inv.slices[q.key] {
		target, ok := slicePort(slice, s.Spec.Ports[i].Name)
		if !ok {
			continue
		}
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready != nil && !*e.Conditions.Ready || len(e.Addresses) == 0 {
				continue
			}
			p := inv.podOf(e)
			if p == nil {
				continue
			}
			w := peer.workload(inv, p, nil)
			switch {
			case !q.crosses(peer, inv, w.DataPlane):
				out = append(out, q.direct(peer, p, w, target))
			case w.DataPlane == cluster.Ambient && (!q.shared(q.own) || !inv.global(s)):
				// Ambient knows only the local endpoints of a service of local scope.
			case w.DataPlane != cluster.Sidecar || w.MTLS != cluster.Disable:
				behind[w.DataPlane] = append(behind[w.DataPlane], p)
			}
		}
	}
	return append(out, q.through(peer, inv, behind)...)
}

// shared says that the service, where this cluster has it, is of global scope.
func (q objectQuery) shared(own *inventory) bool {
	s := own.services[q.key]
	return s == nil || own.global(s)
}

// crosses says that a pod is called through a gateway. A network that is not
// named counts as the caller's own (istio pilot/pkg/xds/endpoints/ep_filters.go).
func (q objectQuery) crosses(peer *Cluster, inv *inventory, dp cluster.DataPlane) bool {
	theirs := inv.namespaces[peer.facts.RootNamespace][networkLabel]
	own := q.own.namespaces[q.c.facts.RootNamespace][networkLabel]
	if peer == q.c || theirs == "" || theirs == own || dp == cluster.NoMesh {
		return false
	}
	return dp == cluster.Ambient || len(inv.gatewaysOn(theirs, cluster.PortPassthrough)) > 0
}

func (q objectQuery) direct(peer *Cluster, p *corev1.Pod, w cluster.Workload, target uint16) cluster.Endpoint {
	ip, port := p.Status.PodIP, strconv.Itoa(int(target))
	ep := cluster.Endpoint{
		Cluster: peer.Name(), Network: peer.Network(), Address: net.JoinHostPort(ip, port), DataPlane: w.DataPlane,
	}
	switch w.DataPlane {
	case cluster.Sidecar:
		ep.SNI, ep.Identities = q.sni(), []string{w.SPIFFEID(peer.TrustDomain())}
	case cluster.Ambient:
		ep.Authority, ep.Identities = ep.Address, []string{w.SPIFFEID(q.c.TrustDomain())}
		ep.Address = net.JoinHostPort(ip, strconv.Itoa(cluster.PortHBONE))
	case cluster.NoMesh:
	}
	return ep
}

func (q objectQuery) host() string {
	for i := range q.key {
		if q.key[i] == '/' {
			return hostOf(q.key[:i], q.key[i+1:])
		}
	}
	return q.key
}

func (q objectQuery) sni() string { return cluster.SNI(q.host(), q.port) }

// through is the gateways in front of pods of another network.
func (q objectQuery) through(peer *Cluster, inv *inventory, behind map[cluster.DataPlane][]*corev1.Pod) []cluster.Endpoint {
	var out []cluster.Endpoint
	network := inv.namespaces[peer.facts.RootNamespace][networkLabel]
	if pods := behind[cluster.Sidecar]; len(pods) > 0 {
		for _, g := range inv.gatewaysOn(network, cluster.PortPassthrough) {
			out = append(out, cluster.Endpoint{
				Cluster: peer.Name(), Network: peer.Network(), Address: g.at, Gateway: true, DataPlane: cluster.Sidecar,
				SNI: q.sni(), Identities: identities(peer.TrustDomain(), pods),
			})
		}
	}
	if pods := behind[cluster.Ambient]; len(pods) > 0 {
		// Only the first gateway of a network is used (istio
		// pilot/pkg/serviceregistry/ambient/networks.go).
		for _, g := range inv.gatewaysOn(network, cluster.PortHBONE)[:min(1, len(inv.gatewaysOn(network, cluster.PortHBONE)))] {
			out = append(out, cluster.Endpoint{
				Cluster: peer.Name(), Network: peer.Network(), Address: g.at, Gateway: true, DataPlane: cluster.Ambient,
				Authority: net.JoinHostPort(q.host(), strconv.Itoa(int(q.port))), Identities: identities(q.c.TrustDomain(), pods),
				GatewayIdentities: []string{cluster.SPIFFEID(q.c.TrustDomain(), g.namespace, g.account)},
			})
		}
	}
	return out
}

func identities(trustDomain string, pods []*corev1.Pod) []string {
	var out []string
	for _, p := range pods {
		out = append(out, cluster.SPIFFEID(trustDomain, p.Namespace, p.Spec.ServiceAccountName))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// gatewayAt is an east-west gateway as another cluster finds it.
type gatewayAt struct{ at, namespace, account string }

// gatewaysOn are the east-west gateways into a network that have a port: the
// Services that bear the network's label, and the Gateways of the Gateway API
// that were given an address.
func (inv *inventory) gatewaysOn(network string, port uint16) []gatewayAt {
	var out []gatewayAt
	for _, s := range inv.services {
		if network == "" || s.Labels[networkLabel] != network || !slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == int32(port) }) {
			continue
		}
		for _, h := range externalHosts(s) {
			out = append(out, gatewayAt{at: net.JoinHostPort(h, strconv.Itoa(int(port))), namespace: s.Namespace, account: s.Name})
		}
	}
	if port == cluster.PortHBONE {
		out = append(out, inv.ambientGateways(network)...)
	}
	slices.SortFunc(out, func(a, b gatewayAt) int { return compareAddress(a.at, b.at) })
	return slices.CompactFunc(out, func(a, b gatewayAt) bool { return a.at == b.at })
}

func compareAddress(a, b string) int {
	x, errX := netip.ParseAddrPort(a)
	y, errY := netip.ParseAddrPort(b)
	if errX == nil && errY == nil {
		return x.Compare(y)
	}
	return slices.Compare([]byte(a), []byte(b))
}
