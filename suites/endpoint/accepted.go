// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"slices"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// Accepted checks that the server took the client, which under TLS 1.3 only a
// read after the handshake proves.
var Accepted = probe.DefineOn(probe.Meta{
	ID:      "endpoint/accepted",
	Title:   "the server accepts the client",
	About:   aboutAccepted,
	Clause:  spec.IstioMutualTLS,
	Causes:  append(acceptedCauses(), cause.Chain(verifier.CauseTrustDomainSidecar)),
	After:   []string{"endpoint/client-certificate"},
	Applies: "endpoints",
}, met(), outer(judgeAccepted))

const aboutAccepted = "How the handshake ended, and who ended it. Accepted is said after something was read, for a TLS 1.3 handshake that returned proves nothing; refused is an alert, named; closed is a FIN or RST without one, and is never called a problem of a certificate. " +
	"Why a certificate was refused is told from the certificate, the bundle, the server's own chain and the authorities that it names; the alert corroborates. A client without a certificate or with a foreign one, asked for with --no-client-cert or --foreign-client-cert, must be refused, with an alert that says so, while the client's own certificate is accepted right after: without that control a refusal may have any reason."

func acceptedCauses() []probe.Cause {
	return append(append(cause.Chains(slices.DeleteFunc(refusable(), sidecarOnly)...), causeNoClient, causeForeignAccepted, cause.NotAsked, verdict.WrongReason, verdict.Unparsable, causeUncontrolled, causeClosed, causeBreaksTLS, causeBreaksHTTP2),
		verdict.StaleServer)
}

var (
	causeNoClient = probe.Cause{
		Code: "no-certificate", Title: "the server wants a client certificate and got none",
		Try: []string{
			"meshprobe probe tls {{.Address}} --cert cert-chain.pem --key key.pem",
			"meshprobe probe tls {{.Address}} --spiffe-socket unix:///run/spire/agent.sock",
		},
	}
	causeForeignAccepted = probe.Cause{
		Code: "client-cert-not-verified", Title: "the server accepts a client certificate of a root that nobody knows: names prove nothing there",
		Try: []string{
			"istioctl --context CONTEXT proxy-config secret POD -n NAMESPACE -o json   # is there a ROOTCA, and what is in it?",
			"istioctl --context CONTEXT ztunnel-config certificates   # the same of a ztunnel",
		},
	}
	causeBreaksTLS = probe.Cause{
		Code: "tls-broken", Title: "what the server sends breaks TLS, or is more than a client takes: meshprobe ended it",
		Try: []string{"openssl s_client -connect {{.Address}} -msg   # what comes, message by message: a broken server, or something in the middle that rewrites TLS"},
	}
	causeBreaksHTTP2 = probe.Cause{
		Code: "http2-broken", Title: "what answers behind the TLS breaks HTTP/2, or does not speak it: meshprobe ended it",
		Try: []string{"meshprobe probe tls {{.Address}} --alpn h2   # what answers there? HBONE is HTTP/2: a ztunnel, a waypoint or a gateway's port 15008"},
	}
	causeClosed = probe.Cause{
		Code: "closed-without-alert", Title: "the connection was closed without an alert: a dead upstream, an L4 policy or something in the middle, not a certificate",
		Try: []string{
			"kubectl --context CONTEXT -n {{.Namespace}} get pods,endpointslices,authorizationpolicies   # alive? denied?",
			"istioctl --context CONTEXT proxy-config log POD -n {{.Namespace}} --level rbac:debug",
		},
	}
)

func judgeAccepted(p part) []probe.Finding {
	l := p.layer
	want := "accepted, proved by a read after the handshake"
	if p.Asked.Negative && p.Asked.Expect == nil {
		want = p.wanted()
	}
	got := probe.WantGot(p.label("answer"), want, said(l)).As(probe.KindAlert)
	fail := func(c probe.Cause, more ...probe.Evidence) []probe.Finding {
		return []probe.Finding{probe.Failing(c, got, more...)}
	}
	switch {
	case p.Asked.Expect != nil && p.refusedAsExpected():
		return []probe.Finding{p.expectedRefusal(probe.WantGot(p.label("answer"), "not accepted, as expected", said(l)).As(probe.KindAlert))}
	case p.Asked.Expect == nil && p.Asked.Negative && (l.Outcome.OK() || l.Outcome == seen.Refused || l.Outcome == seen.Closed && l.Unparsable == ""):
		return []probe.Finding{negative(p, got)}
	case l.Outcome.OK():
		return []probe.Finding{probe.Passing(probe.Text(p.label("answer"), said(l)))}
	case l.Outcome == seen.Refused && p.Asked.Negative:
		return []probe.Finding{probe.Failing(verdict.WrongReason, probe.WantGot(p.label("answer"), p.Asked.Expect.String(), said(l)).As(probe.KindAlert))}
	case l.Outcome == seen.Refused:
		return []probe.Finding{refused(p, got)}
	case l.Unparsable != "":
		facts := unparsable(p)
		return fail(verdict.Unparsable, facts...)
	case l.Outcome == seen.Closed:
		return fail(causeClosed)
	default:
		return fail(breaks(l), probe.Text(p.label("words of the library"), orNone(l.Error)))
	}
}

// breaks is which protocol the peer does not keep to, if that is known.
func breaks(l *wire.Layer) probe.Cause {
	switch {
	case l.Broke != "":
		return causeBreaksHTTP2
	case l.Outcome == wire.Rejected:
		return causeBreaksTLS
	default:
		return causeUnknown
	}
}

// by is the data plane that verifies the client.
func (p part) by() cluster.DataPlane {
	if p.tunnels() {
		return cluster.Ambient
	}
	return cluster.Sidecar
}
