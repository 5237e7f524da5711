// SPDX-License-Identifier: Apache-2.0

package live

import (
	"cmp"
	"context"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// ambientGateways are the Gateways that take HBONE from other networks, with
// the addresses in their status (istio
// pilot/pkg/serviceregistry/ambient/networks.go).
func (inv *inventory) ambientGateways(network string) []gatewayAt {
	var out []gatewayAt
	for _, g := range inv.gateways {
		class, _, _ := unstructured.NestedString(g.Object, "spec", "gatewayClassName")
		if class != "istio-east-west" || cmp.Or(g.GetLabels()[networkLabel], network) != network {
			continue
		}
		account := cmp.Or(g.GetAnnotations()["gateway.istio.io/service-account"], g.GetName())
		addresses, _, _ := unstructured.NestedSlice(g.Object, "status", "addresses")
		for _, a := range addresses {
			m, _ := a.(map[string]any)
			value, _, _ := unstructured.NestedString(m, "value")
			if _, err := netip.ParseAddr(value); err == nil {
				out = append(out, gatewayAt{at: net.JoinHostPort(value, strconv.Itoa(cluster.PortHBONE)), namespace: g.GetNamespace(), account: account})
			}
		}
	}
	return out
}

// Detour implements cluster.Vantage: the 15443 gateway of the workload's own
// cluster leads into its sidecar, TLS end to end, where the server name can mean
// no other workload.
func (c *Cluster) Detour(ctx context.Context, w cluster.Workload) (cluster.Endpoint, bool) {
	inv, err := c.inventory.get(ctx)
	if err != nil || w.Service == nil || w.DataPlane != cluster.Sidecar || c.inside() || !c.alone(ctx, inv, w) {
		return cluster.Endpoint{}, false
	}
	for _, key := range slices.Sorted(maps.Keys(inv.services)) {
		s := inv.services[key]
		if s.Labels[networkLabel] == "" || !slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == cluster.PortPassthrough }) {
			continue
		}
		addr := net.JoinHostPort(s.Name+"."+s.Namespace+".svc", strconv.Itoa(cluster.PortPassthrough))
		if r := c.route(ctx, cluster.Workload{}, addr); r.err != nil || r.pod == nil {
			continue
		}
		return cluster.Endpoint{
			Cluster: c.Name(), Network: c.Network(), Address: addr, Gateway: true, DataPlane: cluster.Sidecar,
			SNI: cluster.SNI(w.Service.Host, w.Service.Port), Identities: []string{w.SPIFFEID(c.TrustDomain())},
		}, true
	}
	return cluster.Endpoint{}, false
}

// alone says that nobody but the workload answers for its service: no other
// controller's pods here, and no pods of the service in another cluster of the
// same network, which the gateway would serve as well.
func (c *Cluster) alone(ctx context.Context, inv *inventory, w cluster.Workload) bool {
	key := w.Namespace + "/" + w.Service.Name
	s := inv.services[key]
	if s == nil {
		return false
	}
	for _, p := range inv.pods {
		if p.Namespace != w.Namespace || !labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(p.Labels)) {
			continue
		}
		if name, _ := owner(p); name != w.Name {
			return false
		}
	}
	for _, peer := range c.joined() {
		if peer == c || peer.Network() != c.Network() {
			continue
		}
		if other, err := peer.inventory.get(ctx); err != nil || other.services[key] != nil {
			return false
		}
	}
	return true
}
