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
)

// Resolve implements cluster.Resolver as istiod's discovery does: from the
// objects of this cluster and, for each remote secret that works, of the
// cluster that it leads to.
func (in *instance) Resolve(ctx context.Context, from cluster.Workload, host string, port uint16) ([]cluster.Endpoint, error) {
	local := in.local()
	if entry := local.entries[host]; entry != nil {
		return entry.resolve(in.spec.Name, host, port), nil
	}
	q := query{
		in: in, local: local, host: qualify(host, from.Namespace), port: port,
		registries: in.registries(ctx, local),
	}
	var out []cluster.Endpoint
	waypoint := ""
	if from.DataPlane == cluster.Ambient { // sidecars know no waypoints
		waypoint = local.waypointKey(q.host)
	}
	for _, member := range q.registries {
		if waypoint != "" {
			out = append(out, q.atWaypoint(member, waypoint)...)
			continue
		}
		out = append(out, q.of(member)...)
	}
	return out, ctx.Err()
}

// member is one cluster as a control plane sees it.
type member struct {
	cluster  string
	registry *registry
}

// registries are the local cluster and those whose remote secret works, or the
// one that istiod had before it, by name. What cannot be read contributes
// nothing, as a remote that never syncs.
func (in *instance) registries(ctx context.Context, local *registry) []member {
	out := []member{{in.spec.Name, local}}
	for _, s := range in.remoteSecrets() {
		known, err := in.through(ctx, s)
		if err == nil {
			in.earlier.forget(s.cluster)
		} else {
			in.log.Debug("remote cluster failed to sync", "remote", s.cluster, "err", err)
			known = in.throughEarlier(ctx, s.cluster)
		}
		if known != nil {
			out = append(out, member{s.cluster, known})
		}
	}
	return out
}

// through is what a remote secret lets one read.
func (in *instance) through(ctx context.Context, s remoteSecret) (*registry, error) {
	r, err := in.remote(s)
	if err != nil {
		return nil, err
	}
	return r.registry(ctx, in.now())
}

// throughEarlier is what the newest of the former remote secrets lets one read
// that still works, nil where none does.
func (in *instance) throughEarlier(ctx context.Context, id string) *registry {
	for _, s := range in.earlier.of(id) {
		if known, err := in.through(ctx, s); err == nil {
			return known
		}
	}
	return nil
}

// query is one resolution.
type query struct {
	in         *instance
	local      *registry
	host       string
	port       uint16
	registries []member
}

// of lists the endpoints in one cluster.
func (q query) of(m member) []cluster.Endpoint {
	service := m.registry.services[q.host]
	if service == nil {
		return nil
	}
	name, ok := service.port(q.port)
	if !ok {
		return nil
	}
	var out []cluster.Endpoint
	var sidecars, ambients []*podView // behind a gateway
	for _, e := range service.endpoints {
		target, serves := e.ports[name]
		if !serves || e.pod == nil {
			continue
		}
		foreign := m.registry != q.local
		switch {
		case e.pod.dataPlane == cluster.Ambient && foreign && !q.global(service):
			// Ambient knows only the local endpoints of a service of local scope.
		case foreign && e.pod.dataPlane != cluster.NoMesh && q.crosses(m, e.pod.dataPlane):
			if e.pod.dataPlane == cluster.Ambient {
				ambients = append(ambients, e.pod)
			} else if e.speaksSidecarMTLS() {
				sidecars = append(sidecars, e.pod)
			}
		default:
			out = append(out, q.direct(m, e, target))
		}
	}
	out = append(out, q.throughPassthrough(m, sidecars)...)
	return append(out, q.throughAmbient(m, ambients)...)
}

// global says that the service is shared: here as well as there, where both
// clusters have it (istio pilot/pkg/serviceregistry/ambient/multicluster.go).
func (q query) global(remote *serviceView) bool {
	own := q.local.services[q.host]
	return remote.global && (own == nil || own.global)
}

// crosses says that endpoints of a cluster are to be reached through a
// gateway. A network that is not named counts as the caller's own, and a named
// one without a gateway as directly routed, for sidecars (istio
// pilot/pkg/xds/endpoints/ep_filters.go). The caller's own is what its proxy was
// installed with (ISTIO_META_NETWORK), whatever istio-system is labelled with.
func (q query) crosses(m member, dp cluster.DataPlane) bool {
	theirs := m.registry.network
	if theirs == "" || theirs == q.in.spec.Network {
		return false
	}
	return dp == cluster.Ambient || len(q.passthroughGateways(m)) > 0
}

// direct is an endpoint that is called at its own address.
func (q query) direct(m member, e endpointView, target uint16) cluster.Endpoint {
	out := cluster.Endpoint{Cluster: m.cluster, Network: m.registry.network, DataPlane: e.pod.dataPlane}
	switch e.pod.dataPlane {
	case cluster.Sidecar:
		out.Address = netip.AddrPortFrom(e.addr, target).String()
		if e.speaksSidecarMTLS() {
			out.SNI = cluster.SNI(q.host, q.port)
			out.Identities = q.sidecarIdentities(m, e.pod)
		}
	case cluster.Ambient:
		out.Address = netip.AddrPortFrom(e.addr, cluster.PortHBONE).String()
		out.Authority = netip.AddrPortFrom(e.addr, target).String()
		out.Identities = q.ambientIdentities(e.pod)
	case cluster.NoMesh:
		out.Address = netip.AddrPortFrom(e.addr, target).String()
	}
	return out
}

// throughPassthrough is the sidecar gateway's address, once per gateway.
func (q query) throughPassthrough(m member, pods []*podView) []cluster.Endpoint {
	if len(pods) == 0 {
		return nil
	}
	var out []cluster.Endpoint
	for _, at := range q.passthroughGateways(m) {
		out = append(out, cluster.Endpoint{
			Cluster: m.cluster, Network: m.registry.network, Address: at.String(), Gateway: true, DataPlane: cluster.Sidecar,
			SNI: cluster.SNI(q.host, q.port), Identities: q.sidecarIdentities(m, pods...),
		})
	}
	return out
}

// throughAmbient is double HBONE: only the first gateway of a network is used
// (istio pilot/pkg/serviceregistry/ambient/networks.go), none means no way.
func (q query) throughAmbient(m member, pods []*podView) []cluster.Endpoint {
	if len(pods) == 0 {
		return nil
	}
	for _, source := range q.gatewaySources(m) {
		for _, g := range source.gateways {
			if g.network != m.registry.network {
				continue
			}
			return []cluster.Endpoint{{
				Cluster: m.cluster, Network: m.registry.network, Address: g.addr.String(), Gateway: true, DataPlane: cluster.Ambient,
				Authority: net.JoinHostPort(q.host, strconv.Itoa(int(q.port))), Identities: q.ambientIdentities(pods...),
				GatewayIdentities: []string{cluster.SPIFFEID(q.trustDomain(), rootNamespace, g.serviceAccount)},
			}}
		}
	}
	return nil
}

func (q query) passthroughGateways(m member) []netip.AddrPort {
	for _, source := range q.gatewaySources(m) {
		if found := source.passthroughGateways(m.registry.network); len(found) > 0 {
			return found
		}
	}
	return nil
}

// gatewaySources are the registries that may know a gateway into a cluster's
// network: its own first, then those of other clusters.
func (q query) gatewaySources(m member) []*registry {
	out := []*registry{m.registry}
	for _, other := range q.registries {
		if other.registry != m.registry {
			out = append(out, other.registry)
		}
	}
	return out
}

func (q query) trustDomain() string { return q.local.mesh.TrustDomain }

// sidecarIdentities carry the trust domain of the workload's own cluster,
// spelled in every alias as well (istio pilot/pkg/spiffe, ExpandWithTrustDomains).
func (q query) sidecarIdentities(m member, pods ...*podView) []string {
	td := m.registry.mesh.TrustDomain
	if td == "" {
		td = q.trustDomain() // the remote mesh configuration is not readable
	}
	domains := []string{td}
	if own := append([]string{q.trustDomain()}, q.local.mesh.TrustDomainAliases...); slices.Contains(own, td) {
		domains = own
	}
	return identitiesOf(pods, domains)
}

// ambientIdentities carry the caller's own trust domain, wherever the workload
// runs (istio pilot/pkg/serviceregistry/ambient, pickTrustDomain).
func (q query) ambientIdentities(pods ...*podView) []string {
	return identitiesOf(pods, []string{q.trustDomain()})
}

func identitiesOf(pods []*podView, domains []string) []string {
	var ids []string
	for _, p := range pods {
		for _, td := range domains {
			ids = append(ids, cluster.SPIFFEID(td, p.namespace, p.serviceAccount))
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// resolve lists the endpoints of a ServiceEntry. Its host's last label is the
// cluster where it is Service Mesh Hub's SVC.NS.CLUSTER.
func (e *entryView) resolve(own, host string, port uint16) []cluster.Endpoint {
	name, ok := e.ports[port]
	if !ok {
		return nil
	}
	at := own
	if labels := strings.Split(host, "."); len(labels) == 3 {
		at = labels[2]
	}
	var out []cluster.Endpoint
	for _, end := range e.endpoints {
		target, mapped := end.ports[name]
		if !mapped {
			target = port
		}
		out = append(out, cluster.Endpoint{
			Cluster: at, Address: net.JoinHostPort(end.address, strconv.Itoa(int(target))), Gateway: target == cluster.PortPassthrough,
			DataPlane: cluster.Sidecar, SNI: cluster.SNI(host, port), Identities: slices.Clone(e.identities),
		})
	}
	return out
}
