// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
)

// Connect checks that a tunnel opens.
var Connect = probe.DefineOn(probe.Meta{
	ID:      "endpoint/connect",
	Title:   "the CONNECT is answered with 200",
	About:   aboutConnect,
	Clause:  spec.HBONEStatuses,
	Causes:  connectCauses(),
	After:   []string{"endpoint/identity", "endpoint/settings"},
	Applies: "HBONE endpoints",
}, met(), outer(judgeConnect))

const aboutConnect = "One CONNECT with the authority of --to (--inner-to inside), and its answer. ztunnel says 200 only after it reached the application, 400 where the authority is not the workload's own, 401 where a policy denies, 503 where nothing answers behind it; Envoy says 403, 404 and 503."

func connectCauses() []probe.Cause {
	return []probe.Cause{causeDenied, causeAuthority, causeNoService, causeUpstream, causeReset, causeCut, causeBreaksHTTP2}
}

var (
	causeDenied = probe.Cause{
		Code: "authz-td-principal", Title: "an authorization policy denies a caller that was authenticated",
		Try: []string{"kubectl --context CONTEXT -n {{.Namespace}} get authorizationpolicies,peerauthentications -o yaml   # and the root namespace's"},
	}
	causeAuthority = probe.Cause{
		Code: "hbone-authority-refused", Title: "the HBONE server does not take this authority for its own",
		Try: []string{
			"meshprobe probe hbone {{.Address}} --to POD-IP:PORT   # the pod's own address and the application's port; a service name only at a waypoint or gateway",
			"istioctl --context CONTEXT ztunnel-config workloads --workload-namespace {{.Namespace}}   # does ztunnel know the pod under this address?",
		},
	}
	causeNoService = probe.Cause{
		Code: "ambient-multinetwork-flag", Title: "the gateway does not know the service, or has no way to it",
		Try: []string{
			"kubectl --context CONTEXT -n NAMESPACE label service SERVICE istio.io/global=true",
			"kubectl --context CONTEXT -n istio-system get deployment istiod -o yaml | grep AMBIENT_ENABLE_MULTI_NETWORK",
		},
	}
	causeUpstream = probe.Cause{
		Code: "hbone-upstream-dead", Title: "the tunnel ends at a workload whose application does not answer",
		Try: []string{"kubectl --context CONTEXT -n {{.Namespace}} get pods,endpointslices"},
	}
	causeReset = probe.Cause{
		Code: "hbone-stream-reset", Title: "the stream was reset in place of an answer",
		Try: []string{"REFUSED_STREAM and ENHANCE_YOUR_CALM mean too many streams: try again; INTERNAL_ERROR and PROTOCOL_ERROR: look at the server's log"},
	}
	causeCut = probe.Cause{
		Code: "hbone-connection-cut", Title: "the connection ended before the CONNECT was answered",
		Try: []string{"kubectl --context CONTEXT -n istio-system get pods   # a ztunnel or gateway that restarts?"},
	}
)

func judgeConnect(p part) []probe.Finding {
	l := p.layer
	switch {
	case !p.tunnels():
		return []probe.Finding{probe.Skipping("the endpoint is no HBONE server")}
	case !l.Outcome.OK():
		return []probe.Finding{probe.Skipping("the endpoint ended it before, as expected")}
	case l.Authority == "":
		return []probe.Finding{probe.Skipping("no --to was given: no tunnel was asked for")}
	}
	e := crossed(l)
	label := p.label("CONNECT " + l.Authority)
	answer := probe.WantGot(label, "200", answered(l)).As(probe.KindStatus)
	facts := headers(l)
	switch {
	case e.What == ExpectAccept:
		return []probe.Finding{probe.Passing(append([]probe.Evidence{probe.Text(label, answered(l)).As(probe.KindStatus)}, facts...)...)}
	case l == p.Last() && p.asExpected():
		return []probe.Finding{probe.Passing(append([]probe.Evidence{probe.WantGot(label, p.Asked.Expect.String(), answered(l)).As(probe.KindStatus)}, facts...)...)}
	default:
		return []probe.Finding{probe.Failing(p.uncrossed(e), answer, facts...)}
	}
}

// uncrossed is why no tunnel opened.
func (p part) uncrossed(e event) probe.Cause {
	switch {
	case e.What == ExpectReset:
		return causeReset
	case e.What == ExpectClose, e.What == "no answer" && p.layer.GoAway != nil:
		return causeCut
	case e.What != ExpectStatus:
		return breaks(p.layer)
	}
	switch gateway := p.nested() && !p.inner; {
	case p.layer.Status == 404 && !gateway && byAddress(p.layer.Authority):
		return causeAuthority
	case p.layer.Status == 401, p.layer.Status == 403:
		return causeDenied
	case gateway && (p.layer.Status == 400 || p.layer.Status == 404 || p.layer.Status == 503), p.layer.Status == 404:
		return causeNoService
	case p.layer.Status == 400:
		return causeAuthority
	case p.layer.Status == 503:
		return causeUpstream
	default:
		return causeUnknown
	}
}

// byAddress says that an authority names no service: no label on one would make
// the server know it.
func byAddress(authority string) bool {
	host, _, err := net.SplitHostPort(authority)
	return err == nil && net.ParseIP(host) != nil
}

func answered(l *wire.Layer) string {
	switch {
	case l.Reset != "":
		return "reset with " + l.Reset
	case l.Status != 0:
		return fmt.Sprint(l.Status)
	default:
		return "no answer: " + orNone(l.Refusal)
	}
}

// headers are the answer's headers, and a GOAWAY beside it.
func headers(l *wire.Layer) []probe.Evidence {
	var facts []probe.Evidence
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(l.Headers)) {
		lines = append(lines, name+": "+strings.Join(l.Headers[name], ", "))
	}
	if len(lines) > 0 {
		facts = append(facts, probe.Text("headers", lines...))
	}
	if l.GoAway != nil {
		facts = append(facts, probe.Text("GOAWAY", join(": ", l.GoAway.Code, l.GoAway.Debug)))
	}
	return facts
}
