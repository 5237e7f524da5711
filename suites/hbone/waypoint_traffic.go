// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"strings"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// WaypointTraffic checks that calls of a service reach its application through
// the waypoint in front of it.
var WaypointTraffic = probe.DefineOn(probe.Meta{
	ID:      "hbone/waypoint-traffic",
	Title:   "a waypoint carries calls to the service behind it",
	About:   "A client of the mesh asks the waypoint for the first service behind it, by the address that istiod tells ztunnels of its own network (VIP:PORT) and by the name that comes in from other networks (HOST:PORT). Both CONNECTs are answered 200, which an Envoy says before it has reached anybody, and a request through the tunnel is answered by the application, to which the waypoint speaks with its own identity.",
	Clause:  spec.HTTP2ConnectAnswer,
	Causes:  append([]probe.Cause{causeWaypointSilent, causeWaypointUnused, causeWaypointRefuses, causeDenied, causeAppDead}, verdict.ClientCauses(cluster.Sidecar)...),
	After:   []string{"hbone/waypoint-identity", "identity/current-ca", "identity/not-expired"},
	Applies: "waypoints",
}, seen.Waypoints(), judgeWaypointTraffic)

var (
	causeWaypointUnused = probe.Cause{
		Code: "waypoint-not-used", Title: "the service is labelled with the waypoint, but istiod sends its calls past it",
		Try: []string{
			"kubectl --context {{.Cluster}} -n {{.Namespace}} get services -o jsonpath='{range .items[*]}{.metadata.name}: {.status.conditions}{\"\\n\"}{end}'    # istio.io/WaypointBound",
			"kubectl --context {{.Cluster}} -n {{.Namespace}} get gateways.gateway.networking.k8s.io {{.Name}} -o yaml    # istio.io/waypoint-for, Programmed",
		},
	}
	causeWaypointRefuses = probe.Cause{
		Code: "waypoint-no-route", Title: "the waypoint knows no way to the service behind it",
		Try: []string{
			"istioctl --context {{.Cluster}} proxy-status {{.Name}}.{{.Namespace}}",
			"istioctl --context {{.Cluster}} proxy-config listeners deployment/{{.Name}} -n {{.Namespace}}",
		},
	}
)

func judgeWaypointTraffic(o seen.Waypoint) []probe.Finding {
	if f, silent := waypointSilent(o); silent {
		return []probe.Finding{f}
	}
	if len(o.Waypoint.Services) == 0 {
		return []probe.Finding{probe.Skipping("no service is behind the waypoint")}
	}
	restart := restartWaypoint(o)
	if o.Good.Outcome == seen.Refused {
		return []probe.Finding{verdict.RefusedBy(verdict.Question{
			Label: "chain that " + o.Source.String() + " presents", Chain: o.Good.Client, Roots: o.Roots, At: o.At,
			TrustDomains: o.Trust, By: cluster.Sidecar,
		}, probe.WantGot("HBONE from "+o.Source.String(), "the client certificate is accepted", o.Good.Said()).As(probe.KindAlert)).With("Restart", restart)}
	}
	if !o.Good.Outcome.OK() {
		return []probe.Finding{probe.Failing(causeWaypointSilent, probe.WantGot("HBONE from "+o.Source.String(), "SETTINGS", o.Good.Said()).As(probe.KindAlert))}
	}
	if o.Told == nil {
		s := o.Waypoint.Services[0]
		return []probe.Finding{probe.Failing(causeWaypointUnused,
			probe.WantGot("where ztunnels of "+o.Waypoint.Cluster+" are told to send calls of "+s.Host, "the waypoint "+o.Waypoint.Key(), "elsewhere"))}
	}
	mayBeSilent := o.Waypoint.Services[0].Protocol != "http"
	var evidence []probe.Evidence
	for _, tried := range []struct {
		l seen.Layer
		a seen.Plain
	}{{o.Good, o.Answer}, {o.ByName, o.NameAnswer}} {
		f, failed := carried(tried.l, tried.a, mayBeSilent)
		if failed {
			return []probe.Finding{f}
		}
		evidence = append(evidence, f.Evidence...)
	}
	return []probe.Finding{probe.Passing(evidence...)}
}

// carried judges one CONNECT and what came back through it. An application of
// another protocol than HTTP may leave a request unanswered.
func carried(l seen.Layer, a seen.Plain, mayBeSilent bool) (f probe.Finding, failed bool) {
	connect := connectEvidence("CONNECT "+l.Authority, "200", l)
	switch {
	case l.Status == 401 || l.Status == 403:
		return probe.Failing(causeDenied, connect), true
	case l.Status != 200 || l.Reset != "":
		return probe.Failing(causeWaypointRefuses, connect), true
	}
	answer := probe.WantGot("request through the tunnel to "+l.Authority, "an answer of the application", verdict.Plaintext(a))
	switch {
	case a.Outcome == seen.Accepted && !ofEnvoy(a.Data), a.Outcome == seen.NotRefused && mayBeSilent:
		return probe.Passing(connect, answer), false
	case strings.Contains(a.Error, "CONNECT_ERROR"): // no listener inside the waypoint took it
		return probe.Failing(causeWaypointRefuses, answer, connect), true
	}
	return probe.Failing(causeAppDead, answer, connect), true
}

// ofEnvoy says that the first line of an answer is what an Envoy says where the
// application behind it gives none.
func ofEnvoy(line string) bool {
	for _, status := range []string{"502", "503", "504"} {
		if strings.HasPrefix(line, `"HTTP/1.1 `+status) {
			return true
		}
	}
	return false
}
