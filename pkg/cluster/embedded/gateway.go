// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/dataplane"
	"github.com/meshprobe/meshprobe/pkg/hbone"
)

// startSidecarGateway runs the east-west gateway on 15443. It needs no
// certificate: it never terminates TLS.
func startSidecarGateway(base *proc) (process, error) {
	g := &dataplane.Passthrough{Route: base.routeSNI, Log: base.in.log}
	return base, base.listen(cluster.PortPassthrough, g.Serve)
}

// routeSNI finds the pods behind a server name. It routes what a Gateway
// exposes, of this cluster only, and only where the pods speak mTLS (istio
// pilot/pkg/networking/core/gateway.go, buildGatewayTLSFilterChains).
func (p *proc) routeSNI(sni string) (dataplane.Dial, bool) {
	host, port, ok := parseSNI(sni)
	if !ok {
		return nil, false
	}
	r := p.in.local()
	if !r.exposes(host) {
		return nil, false
	}
	service := r.services[host]
	if service == nil {
		service = r.services[p.in.federatedHost(host)]
	}
	if service == nil {
		return nil, false
	}
	name, ok := service.port(port)
	if !ok {
		return nil, false
	}
	var targets []netip.AddrPort
	for _, e := range service.endpoints {
		if target, ok := e.ports[name]; ok && e.speaksSidecarMTLS() {
			targets = append(targets, netip.AddrPortFrom(e.addr, target))
		}
	}
	to, ok := p.in.pick(targets)
	return func(ctx context.Context) (net.Conn, error) { return p.in.net.Dial(ctx, p.in.spec.Network, to) }, ok
}

// speaksSidecarMTLS is istiod's isMtlsEnabled: a sidecar is there and no
// policy turns its mTLS off.
func (e endpointView) speaksSidecarMTLS() bool {
	return e.pod != nil && e.pod.dataPlane == cluster.Sidecar && e.pod.mtls != cluster.Disable
}

// parseSNI takes outbound_.PORT_._.HOST apart. A subset names a chain that no
// DestinationRule made here.
func parseSNI(sni string) (host string, port uint16, ok bool) {
	rest, ok := strings.CutPrefix(sni, "outbound_.")
	if !ok {
		return "", 0, false
	}
	number, host, ok := strings.Cut(rest, "_._.")
	if !ok || host == "" {
		return "", 0, false
	}
	n, err := strconv.ParseUint(number, 10, 16)
	return host, uint16(n), err == nil
}

// federatedHost turns Service Mesh Hub's SVC.NS.CLUSTER into the host that it
// means in this cluster, "" where it is another's (its EnvoyFilter with
// tcp_cluster_rewrite).
func (in *instance) federatedHost(host string) string {
	name, ok := strings.CutSuffix(host, "."+in.spec.Name)
	if !ok || strings.Count(name, ".") != 1 {
		return ""
	}
	return name + ".svc.cluster.local"
}

// startAmbientGateway runs the ambient east-west gateway on 15008.
func startAmbientGateway(ctx context.Context, base *proc) (process, error) {
	own := base.agentSVID()
	if err := own.start(ctx); err != nil {
		return nil, err
	}
	g := &dataplane.EastWest{
		Identity:     func() *cluster.Identity { return own.identity(base.ctx) },
		TrustDomains: base.in.trustDomains, Route: base.routeAuthority, Now: base.in.now,
	}
	return base, base.listen(cluster.PortHBONE, g.Serve)
}

// routeAuthority finds the ztunnels behind a global service of this cluster, or
// the waypoint in front of it
// (istio pilot/pkg/networking/core/listener_waypoint.go). What it does not
// know it answers with 503, as measured.
func (p *proc) routeAuthority(authority string) (dataplane.Dial, int) {
	to, err := hbone.ParseAuthority(authority)
	if err != nil {
		return nil, 0
	}
	service := p.in.local().services[to.Host]
	if service == nil || !service.global {
		return nil, 0
	}
	name, ok := service.port(to.Port)
	if !ok {
		return nil, 0
	}
	if waypoint := p.in.local().waypointOf(service); waypoint != nil {
		return p.dialHBONE(waypoint.targets(cluster.PortHBONE)), 0
	}
	endpoints := slices.DeleteFunc(slices.Clone(service.endpoints), func(e endpointView) bool {
		_, serves := e.ports[name]
		return !serves || e.pod == nil || e.pod.dataPlane != cluster.Ambient
	})
	var targets []netip.AddrPort
	for _, e := range endpoints {
		targets = append(targets, netip.AddrPortFrom(e.addr, cluster.PortHBONE))
	}
	return p.dialHBONE(targets), 0
}

// dialHBONE opens streams to one of several HBONE ports of the cluster, nil where
// there is none.
func (p *proc) dialHBONE(targets []netip.AddrPort) dataplane.Dial {
	at, ok := p.in.pick(targets)
	if !ok {
		return nil
	}
	return func(ctx context.Context) (net.Conn, error) { return p.in.net.Dial(ctx, p.in.spec.Network, at) }
}
