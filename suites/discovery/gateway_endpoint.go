// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/cause"
)

// GatewayEndpoint checks what a caller's own data plane was told of a service in
// another network: its gateway, and how to speak to it.
var GatewayEndpoint = probe.Define(probe.Meta{
	ID:      "discovery/gateway-endpoint",
	Title:   "the caller was told the other network's gateway, and how to call through it",
	About:   "Among the endpoints that the caller's own sidecar holds for the called service (config_dump?include_eds), or that istiod tells the caller's ztunnel (/debug/ambientz), is an address of the destination's east-west gateway; over sidecar mTLS with the server name outbound_.PORT_._.HOST, over HBONE with the authority HOST:PORT.",
	Clause:  spec.IstioGatewayEndpoint,
	Causes:  []probe.Cause{cause.NoEndpoint, cause.NoNetworkLabel, causeOldAddress, causePlain, causeOtherName},
	After:   []string{"discovery/remote-secret", "discovery/remote-cluster", "discovery/network-label"},
	AfterTo: []string{"discovery/gateway-address"},
	Applies: "edges between networks",
}, crossing, observeGatewayEndpoint, judgeGatewayEndpoint)

var (
	causeOldAddress = probe.Cause{
		Code: "ew-address-stale", Title: "the caller is sent to an address that is none of the other network's gateways",
		Try: []string{
			"kubectl --context {{.To}} -n istio-system get service -l topology.istio.io/network -o wide",
			"istioctl --context {{.From}} remote-clusters    # does istiod still read the other cluster?",
			"kubectl --context {{.From}} -n istio-system get configmap istio -o yaml | grep -A20 meshNetworks",
		},
	}
	causePlain = probe.Cause{
		Code: "mtls-disabled-remote", Title: "the caller would speak to the gateway without mutual TLS",
		Try: []string{
			"kubectl --context {{.From}} get destinationrules -A    # one for the host with tls.mode DISABLE or SIMPLE?",
			"kubectl --context {{.From}} -n istio-system get configmap istio -o yaml | grep enableAutoMtls",
		},
	}
	causeOtherName = probe.Cause{
		Code: "ew-sni-no-match", Title: "the caller would ask the gateway for something else than the service that it calls",
		Try: []string{"kubectl --context {{.From}} get destinationrules,envoyfilters -A -o yaml | grep -B20 'sni:'    # one with an sni of its own?"},
	}
)

func judgeGatewayEndpoint(o endpointTold) []probe.Finding {
	if o.NotOffered != "" {
		return []probe.Finding{probe.Skipping(o.NotOffered)}
	}
	there, unknown := o.offered()
	told := probe.WantGot("endpoints of "+o.Service.Host+" that "+o.Source.String()+" was told", "the east-west gateway of "+o.Edge.To.Cluster, o.listed())
	switch {
	case there != nil:
	case o.PeerMTLS == cluster.Disable:
		return []probe.Finding{probe.Skipping("mutual TLS is disabled at the destination, so that istiod hides it from other networks", told)}
	case unknown != "":
		return []probe.Finding{probe.Skipping("the address "+unknown+" lies in no cluster that is known here: a load balancer by name?", told)}
	case o.ownWaypoint() != "":
		return []probe.Finding{probe.Skipping("the caller was told its own waypoint "+o.ownWaypoint()+", which alone calls other networks", told)}
	default:
		return []probe.Finding{probe.Failing(cause.NoEndpoint, told)}
	}
	wanted, way, got := o.way(there)
	how := probe.WantGot("how "+o.Source.String()+" would call through "+there.Address, wanted, way)
	switch {
	case !there.Gateway:
		return []probe.Finding{probe.Failing(cause.NoNetworkLabel, told).With("Network", o.Network)}
	case !o.current(there):
		return []probe.Finding{probe.Failing(causeOldAddress, told, probe.Text("gateways of "+o.Edge.To.Cluster, network{Gateways: o.Gateways}.gateways()).As(probe.KindObject))}
	case there.DataPlane == cluster.NoMesh:
		return []probe.Finding{probe.Failing(causePlain, how, told)}
	case !got:
		return []probe.Finding{probe.Failing(causeOtherName, how, told)}
	}
	return []probe.Finding{probe.Passing(told, how)}
}

// offered is an endpoint in the destination cluster, one of the edge's own data
// plane rather than another; where there is none, unknown is an address that
// lies nowhere.
func (o endpointTold) offered() (there *cluster.Endpoint, unknown string) {
	for i, ep := range o.Told {
		switch {
		case ep.Cluster == "":
			unknown = ep.Address
		case ep.Cluster != o.Edge.To.Cluster:
		case there == nil, ep.DataPlane == o.Edge.DataPlane && there.DataPlane != ep.DataPlane:
			there = &o.Told[i]
		}
	}
	return there, unknown
}

// ownWaypoint is a waypoint of its own network that the caller was told.
func (o endpointTold) ownWaypoint() string {
	for _, ep := range o.Told {
		if ep.Waypoint != "" && !ep.Gateway {
			return ep.Waypoint
		}
	}
	return ""
}

// way is how the caller ought to call through the gateway, how it would, and
// whether that is the same.
func (o endpointTold) way(there *cluster.Endpoint) (want, got string, same bool) {
	plane := func(dp cluster.DataPlane) string {
		switch dp {
		case cluster.Sidecar:
			return "mutual TLS with server name "
		case cluster.Ambient:
			return "HBONE with authority "
		case cluster.NoMesh:
		}
		return "plaintext "
	}
	name, said := cluster.SNI(o.Service.Host, o.Service.Port), there.SNI
	if o.Edge.DataPlane == cluster.Ambient {
		name, said = net.JoinHostPort(o.Service.Host, strconv.Itoa(int(o.Service.Port))), there.Authority
	}
	want, got = plane(o.Edge.DataPlane)+name, strings.TrimSpace(plane(there.DataPlane)+said)
	return want, got, want == got
}

// current says that an endpoint's address is one that the other network's
// gateways have now, as far as they have addresses and not names.
func (o endpointTold) current(there *cluster.Endpoint) bool {
	host, _, err := net.SplitHostPort(there.Address)
	if err != nil {
		return false
	}
	known := false
	for _, g := range o.Gateways {
		for _, a := range g.Addresses {
			if _, err := netip.ParseAddr(a); err != nil || a == host {
				return true
			}
			known = true
		}
	}
	return !known
}

func (o endpointTold) listed() string {
	var lines []string
	for _, ep := range o.Told {
		what := "a pod"
		if ep.Gateway {
			what = "a gateway"
		}
		if ep.Waypoint != "" {
			what = strings.TrimPrefix(what+" to the waypoint "+ep.Waypoint, "a pod to ")
		}
		lines = append(lines, fmt.Sprintf("%s, %s in %s", ep.Address, what, cmp.Or(ep.Cluster, "no known cluster")))
	}
	slices.Sort(lines)
	return cmp.Or(strings.Join(slices.Compact(lines), "\n"), "none")
}
