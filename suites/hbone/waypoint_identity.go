// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"fmt"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// WaypointIdentity judges the certificate of a waypoint as the ztunnels do that
// send it the calls of the services behind it.
var WaypointIdentity = probe.DefineOn(probe.Meta{
	ID:      "hbone/waypoint-identity",
	Title:   "a waypoint presents the identity that its callers expect",
	About:   "Port 15008 of the waypoint, met by a client of its own cluster. The chain verifies against the namespace's trust bundle as ztunnel verifies it, and the identity is that of the waypoint's service account: one of those that istiod tells ztunnels for the waypoint, not those of the services behind it.",
	Clause:  spec.HBONEIdentity,
	Causes:  append(verdict.ChainCauses(cluster.Ambient), cause.Chain(verifier.CauseWrongIdentity), causeWaypointSilent),
	After:   []string{"ca/istiod-serves-cacerts", "trust/root-configmap", "trust/trust-domain"},
	Applies: "waypoints",
}, seen.Waypoints(), judgeWaypointIdentity)

var causeWaypointSilent = probe.Cause{
	Code: "hbone-not-serving", Title: "nothing speaks HBONE on port 15008 of the waypoint",
	Try: []string{
		"istioctl --context {{.Cluster}} waypoint status -n {{.Namespace}}",
		"kubectl --context {{.Cluster}} -n {{.Namespace}} get pods,services -l gateway.networking.k8s.io/gateway-name={{.Name}} -o wide",
	},
}

func judgeWaypointIdentity(o seen.Waypoint) []probe.Finding {
	if f, silent := waypointSilent(o); silent {
		return []probe.Finding{f}
	}
	want := waypointNames(o)
	f := verdict.Chain(verdict.Question{
		Label: "chain that the waypoint presents", Chain: o.Good.Chain, Roots: o.Roots, At: o.At,
		Role: verifier.Server, Identities: want, By: cluster.Ambient,
	})
	evidence := probe.WantGot("identity of the waypoint "+o.Waypoint.String(), strings.Join(want, " or "), strings.Join(o.Good.URIs(), " + "))
	f.Evidence = append([]probe.Evidence{evidence}, f.Evidence...)
	if f.Cause.Code == verifier.CauseWrongIdentity {
		for _, id := range o.Good.URIs() {
			if seen.OtherTrustDomain(id, want) {
				f.Cause = cause.Chain(verifier.CauseTrustDomainAmbient)
			}
		}
	}
	return []probe.Finding{f.With("Restart", restartWaypoint(o))}
}

// waypointNames are the identities that a ztunnel expects of the waypoint; of
// one that no service uses, that of its service account.
func waypointNames(o seen.Waypoint) []string {
	if o.Told != nil && len(o.Told.Identities) > 0 {
		return o.Told.Identities
	}
	if len(o.Trust) == 0 {
		return []string{}
	}
	return []string{o.Waypoint.SPIFFEID(o.Trust[0])}
}

// waypointSilent says that the waypoint did not even show a certificate.
func waypointSilent(o seen.Waypoint) (probe.Finding, bool) {
	if len(o.Good.Chain) > 0 {
		return probe.Finding{}, false
	}
	got := probe.WantGot("HBONE from "+o.Source.String()+" at "+o.Good.Address, "TLS 1.3 with a certificate", o.Good.Said()).As(probe.KindAlert)
	if o.Control != "" {
		return probe.Breaking("the client reaches nothing, its own istiod neither", got, probe.Text("istiod of "+o.Waypoint.Cluster, o.Control)), true
	}
	return probe.Failing(causeWaypointSilent, got), true
}

func restartWaypoint(o seen.Waypoint) string {
	return fmt.Sprintf("-n %s rollout restart deployment/%s", o.Waypoint.Namespace, o.Waypoint.Name)
}
