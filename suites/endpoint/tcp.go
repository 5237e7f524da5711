// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"fmt"
	"net"
	"slices"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
)

// TCP checks that there is anything to talk to.
var TCP = probe.DefineOn(probe.Meta{
	ID:      "endpoint/tcp",
	Title:   "TCP connects",
	About:   "One connection is opened from where meshprobe runs. A refusal means that nothing listens, silence means a dead address or a filter that drops, and a name without an address is a matter of the resolver: meshprobe could not look.",
	Clause:  spec.EndpointReached,
	Causes:  []probe.Cause{causeRefused, causeTimeout, causeGateway, causeNoRoute},
	Applies: "endpoints",
}, met(), judgeTCP)

var (
	causeRefused = probe.Cause{
		Code: "port-closed", Title: "nothing listens on that port: the connection was refused",
		Try: []string{
			"is it the right port? 15443 is the east-west gateway's, 15008 HBONE's, 15006 leads nowhere from outside a pod",
			"kubectl --context CONTEXT get service,endpointslices -A -o wide   # who should answer there?",
		},
	}
	causeTimeout = probe.Cause{
		Code: "no-answer", Title: "nothing came back: the address is dead, or something in between drops the packets",
		Try: []string{
			"kubectl --context CONTEXT get networkpolicy -A   # and firewalls and security groups on the way",
			"meshprobe probe tls {{.Address}} --timeout 30s   # from a machine or pod that is nearer",
		},
	}
	causeGateway = probe.Cause{
		Code: "ew-unreachable", Title: "the east-west gateway or HBONE port does not answer: no listener, load balancer or route, or a filter in between",
		Try: []string{
			"kubectl --context CONTEXT -n istio-system get service,endpointslices -l topology.istio.io/network -o wide    # an external address? pods behind it?",
			"kubectl --context CONTEXT get networkpolicy -A   # ports 15443 and 15008 must be open, on the workload too",
		},
	}
	causeNoRoute = probe.Cause{
		Code: "no-route", Title: "the network says that there is no way to the address",
		Try: []string{"ip route get ADDRESS   # a pod's address of another network? then the gateway's is the one to dial"},
	}
)

func judgeTCP(m Met) []probe.Finding {
	got := probe.WantGot("TCP connection to "+m.Address, "connected", saidTCP(m.TCP))
	facts := []probe.Evidence{got}
	if len(m.TCP.Resolved) > 0 {
		facts = append(facts, probe.Text("addresses of the name", m.TCP.Resolved...))
	}
	switch m.TCP.Outcome {
	case wire.TCPConnected, wire.TCPReset:
		return []probe.Finding{probe.Passing(probe.Text("TCP", saidTCP(m.TCP), fmt.Sprintf("in %s", millis(m.TCP.ConnectMS))))}
	case wire.TCPUnresolvable, wire.TCPLocal:
		return []probe.Finding{probe.Breaking("meshprobe could not dial "+m.Address+": "+saidTCP(m.TCP), got)}
	case wire.TCPRefused, wire.TCPTimeout, wire.TCPUnreachable:
		return []probe.Finding{m.at(probe.Failing(unreached(&m), facts[0], facts[1:]...), nil)}
	default:
		return []probe.Finding{probe.Failing(causeUnknown, facts[0], facts[1:]...)}
	}
}

// unreached is why there is no connection. The ports that only a mesh uses
// have a cause of their own.
func unreached(m *Met) probe.Cause {
	_, port, _ := net.SplitHostPort(m.Address)
	switch {
	case m.TCP.Outcome == wire.TCPUnreachable:
		return causeNoRoute
	case slices.Contains([]string{"15443", "15008"}, port):
		return causeGateway
	case m.TCP.Outcome == wire.TCPRefused:
		return causeRefused
	default:
		return causeTimeout
	}
}
