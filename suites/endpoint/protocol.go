// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"net"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
)

// Protocol checks that what answers speaks TLS.
var Protocol = probe.DefineOn(probe.Meta{
	ID:      "endpoint/protocol",
	Title:   "what answers speaks TLS",
	About:   "The answer to a ClientHello: TLS, plaintext HTTP, an SSH banner, a PROXY protocol header, silence, or a connection that is closed without a byte. The last says nothing of any certificate: no certificate was seen by anybody.",
	Clause:  spec.EndpointTLS,
	Causes:  []probe.Cause{causePlaintext, causeProxy, causeOther, causeSilence, causeClosedEarly, causeSNI},
	After:   []string{"endpoint/tcp"},
	Applies: "endpoints",
}, met(), judgeProtocol)

var (
	causePlaintext = probe.Cause{
		Code: "plaintext-on-mtls", Title: "the port answers in plaintext: nothing there speaks TLS",
		Try: []string{
			"kubectl --context CONTEXT get peerauthentication,destinationrule -A   # mode DISABLE, or a client that speaks TLS to a port that has none",
			"kubectl --context CONTEXT -n NAMESPACE get pod NAME -o jsonpath='{.spec.containers[*].name}{.metadata.annotations.ambient\\.istio\\.io/redirection}'   # a sidecar? in ambient?",
		},
	}
	causeProxy = probe.Cause{
		Code: "proxy-protocol-or-health-probe", Title: "a PROXY protocol header came in place of TLS: a load balancer speaks where a server should",
		Try: []string{"turn PROXY protocol off at the load balancer: a mesh port is to get TLS and nothing before it"},
	}
	causeOther = probe.Cause{
		Code: "another-protocol", Title: "another protocol answers on that port",
		Try: []string{"is it the right port? the answer above says who speaks"},
	}
	causeSilence = probe.Cause{
		Code: "silent-endpoint", Title: "it takes the connection and says nothing: a dead upstream behind a TCP proxy, a full backlog, or packets that get lost",
		Try: []string{
			"istioctl --context CONTEXT proxy-config endpoints deployment/istio-eastwestgateway -n istio-system   # is what stands behind it healthy?",
			"ping -M do -s 1472 HOST   # a path that loses large packets: ClientHellos with ML-KEM exceed 1.2 kB",
		},
	}
	causeClosedEarly = probe.Cause{
		Code: "closed-without-alert", Title: "the connection was closed before any certificate was seen: a dead upstream, a policy or a filter",
		Try: []string{
			"kubectl --context CONTEXT get pods,authorizationpolicies -A   # is what stands behind it alive? does a policy deny?",
			"meshprobe probe tls {{.Address}} --sni outbound_.PORT_._.HOST   # for a gateway that routes by server name",
		},
	}
	causeSNI = probe.Cause{
		Code: "ew-sni-no-match", Title: "the gateway routes by server name and closed the connection: it has no route for the one that was sent",
		Try: []string{
			"meshprobe probe tls {{.Address}} --sni outbound_.PORT_._.SERVICE.NAMESPACE.svc.cluster.local",
			"kubectl --context CONTEXT -n istio-system get gateways.networking.istio.io -o yaml   # port 15443, AUTO_PASSTHROUGH, hosts '*.local'",
			"istioctl --context CONTEXT proxy-config listeners deployment/istio-eastwestgateway -n istio-system --port 15443",
		},
	}
)

func judgeProtocol(m Met) []probe.Finding {
	if f, ended := m.unseen(); ended {
		return []probe.Finding{f}
	}
	got := probe.WantGot("answer of "+m.Address, "TLS", saidAnswer(m.Answer))
	fail := func(c probe.Cause, more ...probe.Evidence) []probe.Finding {
		return []probe.Finding{m.at(probe.Failing(c, got, more...), nil)}
	}
	if m.TCP.Outcome == wire.TCPReset {
		m.Answer.Protocol, m.Answer.End = wire.ProtocolClosed, wire.EndRST
	}
	switch m.Answer.Protocol {
	case wire.ProtocolTLS:
		return []probe.Finding{probe.Passing(probe.Text("answer", "TLS"))}
	case wire.ProtocolHTTP, wire.ProtocolHTTP2:
		return fail(causePlaintext)
	case wire.ProtocolProxy:
		return fail(causeProxy)
	case wire.ProtocolSilence:
		return fail(causeSilence)
	case wire.ProtocolClosed:
		if m.asExpected() {
			return []probe.Finding{probe.Passing(probe.WantGot("answer of "+m.Address, "closed without an alert", m.came().said))}
		}
		name := sniOf(&m)
		if routed(m.Address) && !strings.HasPrefix(name, "outbound_") {
			return fail(causeSNI, probe.WantGot("server name sent", "outbound_.PORT_._.HOST", orNone(name)))
		}
		return fail(causeClosedEarly, probe.Text("server name sent", orNone(name)))
	case wire.ProtocolSSH, wire.ProtocolBanner, wire.ProtocolOther:
		return fail(causeOther)
	default:
		return fail(causeUnknown)
	}
}

// unseen says that there was no connection to see anything on: that TCP did not
// connect, or that meshprobe could not dial, is told once.
func (m *Met) unseen() (probe.Finding, bool) {
	switch m.TCP.Outcome {
	case wire.TCPConnected, wire.TCPReset:
		return probe.Finding{}, false
	default:
		return probe.Finding{Status: probe.Blocked, BlockedBy: "endpoint/tcp " + m.Address}, true
	}
}

// routed says that the port is the one on which gateways route by server name.
func routed(address string) bool {
	_, port, _ := net.SplitHostPort(address)
	return port == "15443"
}

func sniOf(m *Met) string {
	if m.Layer == nil {
		return ""
	}
	return m.Layer.SNI
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}
