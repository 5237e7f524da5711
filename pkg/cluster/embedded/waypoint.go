// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/dataplane"
	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
)

var _ cluster.Waypoints = (*instance)(nil)

// waypointObjects is a waypoint, shared between clusters as the services behind
// it are, with what istiod's gateway controller makes of its Gateway.
func waypointObjects(namespace, name, vip string, at metav1.Time) []runtime.Object {
	own := map[string]string{waypointFor: "service", globalLabel: "true"}
	selector := map[string]string{gatewayNameLabel: name}
	labels := map[string]string{managedLabel: managedWaypoint, gatewayClass: waypointClass, gatewayNameLabel: name}
	maps.Copy(labels, own)
	gateway := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1",
		"kind":       "Gateway",
		"metadata":   map[string]any{"name": name, "namespace": namespace},
		"spec": map[string]any{
			"gatewayClassName": waypointClass,
			"listeners":        []any{map[string]any{"name": "mesh", "port": int64(cluster.PortHBONE), "protocol": "HBONE"}},
		},
	}}
	gateway.SetLabels(own)
	program(gateway, vip, at)
	return []runtime.Object{
		serviceAccount(namespace, name), gateway,
		service(namespace, name, labels, selector, vip, servicePort("mesh", cluster.PortHBONE)),
		deployment(namespace, name, labels, selector, labels, name, corev1.Container{
			Name: proxyName, Image: "meshprobe/waypoint",
			Ports: []corev1.ContainerPort{{ContainerPort: cluster.PortHBONE, Protocol: corev1.ProtocolTCP}},
		}),
	}
}

// wantedWaypoint is namespace/name of the waypoint that a service is labelled
// with, itself or by its namespace (istio
// pilot/pkg/serviceregistry/ambient/waypoints.go).
func (r *registry) wantedWaypoint(s *corev1.Service) string {
	name := cmp.Or(s.Labels[useWaypoint], r.namespaces[s.Namespace][useWaypoint])
	if name == "" || name == "none" || s.Labels[gatewayNameLabel] != "" {
		return ""
	}
	return s.Namespace + "/" + name
}

// waypointOf is the Service of the waypoint in front of a service, nil where
// there is none.
func (r *registry) waypointOf(s *serviceView) *serviceView {
	namespace, name, ok := strings.Cut(s.waypoint, "/")
	if !ok {
		return nil
	}
	w := r.services[qualify(name, namespace)]
	if w == nil || w.waypointFor != "service" && w.waypointFor != "all" {
		return nil
	}
	return w
}

// waypointKey is namespace/name of the waypoint in front of a host.
func (r *registry) waypointKey(host string) string {
	if s := r.services[host]; s != nil && r.waypointOf(s) != nil {
		return s.waypoint
	}
	return ""
}

// Waypoints implements cluster.Waypoints.
func (in *instance) Waypoints(ctx context.Context) ([]cluster.Waypoint, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := in.local()
	var out []cluster.Waypoint
	for _, p := range r.pods {
		if p.labels[managedLabel] != managedWaypoint || !p.ready {
			continue
		}
		w := cluster.Waypoint{Workload: cluster.Workload{
			Ref:            cluster.Ref{Cluster: in.spec.Name, Namespace: p.namespace, Name: p.labels[gatewayNameLabel]},
			ServiceAccount: p.serviceAccount, DataPlane: cluster.Ambient, Proxy: cluster.ProxyGo, MTLS: cluster.Strict,
			Network: in.spec.Network, Address: p.addr,
		}}
		for host, s := range r.services {
			if r.waypointKey(host) == w.Key() {
				w.Services = append(w.Services, s.described())
			}
		}
		slices.SortFunc(w.Services, func(a, b cluster.Service) int { return strings.Compare(a.Host, b.Host) })
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b cluster.Waypoint) int {
		return cmp.Or(strings.Compare(a.Key(), b.Key()), b.Address.Compare(a.Address))
	})
	return slices.CompactFunc(out, func(a, b cluster.Waypoint) bool { return a.Key() == b.Key() }), nil
}

// described is the service with the first of its ports.
func (s *serviceView) described() cluster.Service {
	out := cluster.Service{Name: s.name, Host: s.host, Protocol: "auto"}
	if len(s.ports) > 0 {
		out.Port, out.Protocol = uint16(s.ports[0].Port), cmp.Or(s.ports[0].Name, "auto")
	}
	return out
}

// atWaypoint is where a ztunnel sends calls of a service behind a waypoint: to a
// waypoint of its own network, by the service's address, or through the gateway
// to the other network's, by its name, where both share it (ztunnel
// src/proxy/outbound.rs, build_request).
func (q query) atWaypoint(m member, waypoint string) []cluster.Endpoint {
	namespace, name, _ := strings.Cut(waypoint, "/")
	host := qualify(name, namespace)
	w := m.registry.services[host]
	if w == nil {
		return nil
	}
	var pods []*podView
	for _, e := range w.endpoints {
		if e.pod != nil {
			pods = append(pods, e.pod)
		}
	}
	port := strconv.Itoa(int(q.port))
	var out []cluster.Endpoint
	if m.registry != q.local && q.crosses(m, cluster.Ambient) {
		if own := q.local.services[host]; own != nil && own.global && w.global {
			out = q.throughAmbient(m, pods)
		}
	} else {
		authority := net.JoinHostPort(q.host, port)
		if s := m.registry.services[q.host]; s != nil && s.vip.IsValid() {
			authority = net.JoinHostPort(s.vip.String(), port)
		}
		for _, p := range pods {
			out = append(out, cluster.Endpoint{
				Cluster: m.cluster, Network: m.registry.network, DataPlane: cluster.Ambient, Authority: authority,
				Address: netip.AddrPortFrom(p.addr, cluster.PortHBONE).String(), Identities: q.ambientIdentities(pods...),
			})
		}
	}
	for i := range out {
		out[i].Waypoint = waypoint
	}
	return out
}

// waypoint is the process of a waypoint's pod.
type waypoint struct {
	*proc
	own      *svid
	upstream *hbone.Dialer // to the pods behind it
}

// startWaypoint runs a waypoint on 15008.
func startWaypoint(ctx context.Context, base *proc) (process, error) {
	w := &waypoint{proc: base, own: base.agentSVID()}
	if err := w.own.start(ctx); err != nil {
		return nil, err
	}
	w.upstream = &hbone.Dialer{
		TLS: hbone.ClientTLS(func() (*tls.Certificate, error) { return w.identity().TLS(), nil }, w.verify),
		Dial: func(ctx context.Context, _, addr string) (net.Conn, error) {
			to, err := netip.ParseAddrPort(addr)
			if err != nil {
				return nil, err
			}
			return w.in.net.Dial(ctx, w.in.spec.Network, to)
		},
		Now: w.in.now,
	}
	inbound := &dataplane.Waypoint{Identity: w.identity, TrustDomains: w.in.trustDomains, Route: w.route, Now: w.in.now}
	return w, w.listen(cluster.PortHBONE, inbound.Serve)
}

func (w *waypoint) identity() *cluster.Identity { return w.own.identity(w.ctx) }

// stop implements process.
func (w *waypoint) stop() {
	w.cancel()
	_ = w.upstream.Close() // returns nil
	w.proc.stop()
}

// verify admits any server of the mesh: connect_originate of a waypoint looks at
// the trust domain only (istio pilot/pkg/networking/core/waypoint.go).
func (w *waypoint) verify(s tls.ConnectionState) error {
	said := verifier.Envoy(verifier.Chain{Certs: s.PeerCertificates}, verifier.Options{
		Roots: w.identity().Roots, At: w.in.now(), Role: verifier.Server, TrustDomains: w.in.trustDomains(),
	})
	if !said.Accepts {
		return errors.New(said.Reason)
	}
	return nil
}

// route finds a pod behind one of the waypoint's own services, by their address
// or name.
func (w *waypoint) route(to hbone.Authority) (dial dataplane.Dial, known bool) {
	r := w.in.local()
	service := r.services[to.Host]
	if addr, ok := to.Addr(); ok {
		service = r.byAddress[addr.Unmap()]
	}
	if service == nil || service.waypoint != w.pod.namespace+"/"+w.pod.labels[gatewayNameLabel] || r.waypointOf(service) == nil {
		return nil, false
	}
	name, ok := service.port(to.Port)
	if !ok {
		return nil, true
	}
	var targets []netip.AddrPort
	for _, e := range service.endpoints {
		target, serves := e.ports[name]
		if serves && e.pod != nil && (e.pod.dataPlane == cluster.Ambient || e.pod.labels[tunnelLabel] == "http") {
			targets = append(targets, netip.AddrPortFrom(e.addr, target))
		}
	}
	at, ok := w.in.pick(targets)
	if !ok {
		return nil, true
	}
	return func(ctx context.Context) (net.Conn, error) {
		c, err := w.upstream.DialContext(ctx, netip.AddrPortFrom(at.Addr(), cluster.PortHBONE).String(), at.String())
		if err != nil {
			return nil, fmt.Errorf("waypoint: %w", err)
		}
		return c, nil
	}, true
}
