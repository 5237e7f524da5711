// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"cmp"
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// GatewayAddress checks that other networks can find a way in: an east-west
// gateway Service of the cluster's network, with an address and the port that
// the data plane needs.
var GatewayAddress = probe.DefineOn(probe.Meta{
	ID:      "discovery/gateway-address",
	Title:   "the cluster's network has an east-west gateway with an address",
	About:   "A Service bears the label topology.istio.io/network with the cluster's network, has an external address, and port 15443 where sidecars are called from other networks, 15008 where ambient workloads are.",
	Clause:  spec.IstioGatewayAddress,
	Causes:  []probe.Cause{causeNoGateway, causeNoAddress},
	After:   []string{"discovery/network-label"},
	Applies: "clusters",
}, networks(), judgeGatewayAddress)

var (
	causeNoGateway = probe.Cause{
		Code: "ew-gateway-missing", Title: "no Service is the network's east-west gateway for the port that callers need",
		Try: []string{"kubectl --context {{.Cluster}} -n istio-system label service istio-eastwestgateway topology.istio.io/network={{.Network}}   # for ambient: the Service of the istio-east-west Gateway"},
	}
	causeNoAddress = probe.Cause{
		Code: "ew-unreachable", Title: "the east-west gateway has no external address yet",
		Try: []string{"kubectl --context {{.Cluster}} -n istio-system get service -l topology.istio.io/network -o wide   # EXTERNAL-IP <pending>: is there a load balancer?"},
	}
)

func judgeGatewayAddress(o network) []probe.Finding {
	var needed []string
	if o.Sidecar {
		needed = append(needed, "15443")
	}
	if o.Ambient {
		needed = append(needed, "15008")
	}
	if len(needed) == 0 {
		return []probe.Finding{probe.Skipping("no edge leads into the cluster from another network")}
	}
	evidence := probe.WantGot("east-west gateways of "+o.Cluster, "ports "+strings.Join(needed, " and ")+" at an external address, network "+o.Wanted, o.gateways()).As(probe.KindObject)
	for _, port := range needed {
		i := slices.IndexFunc(o.Gateways, func(g gatewayService) bool { return g.Network == o.Wanted && slices.Contains(g.Ports, port) })
		if i < 0 {
			return []probe.Finding{probe.Failing(causeNoGateway, evidence).With("Network", o.Wanted)}
		}
		if len(o.Gateways[i].Addresses) == 0 {
			return []probe.Finding{probe.Failing(causeNoAddress, evidence)}
		}
	}
	return []probe.Finding{probe.Passing(evidence)}
}

func (o network) gateways() string {
	var lines []string
	for _, g := range o.Gateways {
		lines = append(lines, g.Name+" (network "+g.Network+") at "+cmp.Or(strings.Join(g.Addresses, ", "), "no address")+", ports "+strings.Join(g.Ports, ", "))
	}
	return cmp.Or(strings.Join(lines, "\n"), "none")
}
