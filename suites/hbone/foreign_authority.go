// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// ForeignAuthority checks that a workload's HBONE is no open proxy: a CONNECT
// to an address that is not its own is refused with the status of its kind.
var ForeignAuthority = probe.DefineOn(probe.Meta{
	ID:      "hbone/foreign-authority",
	Title:   "a CONNECT to somebody else's address is refused",
	About:   "Over the accepted connection a second CONNECT names an address that is not the workload's. ztunnel answers 400, an Envoy that terminates HBONE 404 or 503.",
	Clause:  spec.HBONEForeignAuthority,
	Causes:  []probe.Cause{causeAuthorityAny, causeOtherStatus},
	After:   []string{"hbone/own-authority"},
	Applies: "ambient workloads",
}, seen.AmbientListeners(), judgeForeignAuthority)

var (
	causeAuthorityAny = probe.Cause{
		Code: "hbone-authority-any", Title: "the workload's HBONE opens tunnels to any address: an open proxy inside the mesh",
		Try: []string{
			"kubectl --context {{.Cluster}} -n {{.Namespace}} get pods -o wide   # what serves 15008 there? ztunnel checks the authority, a hand-made proxy may not",
			"kubectl --context {{.Cluster}} -n istio-system rollout restart daemonset/ztunnel",
		},
	}
	causeOtherStatus = probe.Cause{
		Code: "hbone-refusal-status", Title: "the foreign authority is refused, but with another status than this kind of peer uses",
		Try: []string{"meshprobe explain {{.ID}}   # lists the status by kind of peer"},
	}
)

func judgeForeignAuthority(l seen.Listener) []probe.Finding {
	if l.Elsewhere == nil {
		return []probe.Finding{probe.Breaking("no positive control: the connection was not accepted")}
	}
	want := "400"
	statuses := map[int]bool{400: true}
	if l.Workload.Proxy == cluster.ProxyEnvoy || l.Workload.HBONE { // a sidecar behaves as an Envoy does
		want, statuses = "404 or 503", map[int]bool{404: true, 503: true}
	}
	evidence := connectEvidence("CONNECT "+l.Elsewhere.Authority, want, *l.Elsewhere)
	switch {
	case l.Good.Status != 200:
		return []probe.Finding{probe.Breaking("no positive control: its own authority was not accepted", evidence)}
	case l.Elsewhere.Status == 200:
		return []probe.Finding{probe.Failing(causeAuthorityAny, evidence)}
	case statuses[l.Elsewhere.Status]:
		return []probe.Finding{probe.Passing(evidence)}
	case l.Elsewhere.Status != 0:
		return []probe.Finding{probe.Failing(causeOtherStatus, evidence)}
	default:
		return []probe.Finding{probe.Breaking("no answer to the CONNECT", evidence)}
	}
}
