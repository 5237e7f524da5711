// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"fmt"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// OwnAuthority checks that a tunnel to the workload's own address and port
// opens: 200 only after the application was reached.
var OwnAuthority = probe.DefineOn(probe.Meta{
	ID:      "hbone/own-authority",
	Title:   "a CONNECT to the workload's own address is answered 200",
	About:   "CONNECT with :authority POD-IP:PORT of the workload itself. ztunnel answers 200 after it has reached the application, 401 where a policy denies, 503 where the application does not answer.",
	Clause:  spec.HTTP2ConnectAnswer,
	Causes:  []probe.Cause{causeDenied, causeAppDead, causeOwnRefused},
	After:   []string{"hbone/handshake"},
	Applies: "ambient workloads",
}, seen.AmbientListeners(), judgeOwnAuthority)

var (
	causeDenied = probe.Cause{
		Code: "authz-td-principal", Title: "an authorization policy denies a caller that was authenticated",
		Try: []string{"kubectl --context {{.Cluster}} -n {{.Namespace}} get authorizationpolicies,peerauthentications -o yaml"},
	}
	causeAppDead = probe.Cause{
		Code: "hbone-upstream-dead", Title: "the tunnel ends at a workload whose application does not answer",
		Try: []string{"kubectl --context {{.Cluster}} -n {{.Namespace}} get pods,endpointslices"},
	}
	causeOwnRefused = probe.Cause{
		Code: "hbone-own-authority-refused", Title: "the workload's HBONE refuses its own address as the destination",
		Try: []string{"istioctl --context {{.Cluster}} ztunnel-config workloads --workload-namespace {{.Namespace}}   # does ztunnel know the pod under this address?"},
	}
)

func judgeOwnAuthority(l seen.Listener) []probe.Finding {
	evidence := connectEvidence("CONNECT "+l.Good.Authority, "200", l.Good)
	switch l.Good.Status {
	case 200:
		return []probe.Finding{probe.Passing(evidence)}
	case 401, 403:
		return []probe.Finding{probe.Failing(causeDenied, evidence)}
	case 503:
		return []probe.Finding{probe.Failing(causeAppDead, evidence)}
	default:
		return []probe.Finding{probe.Failing(causeOwnRefused, evidence)}
	}
}

// connectEvidence is the answer to a CONNECT.
func connectEvidence(label, want string, l seen.Layer) probe.Evidence {
	got := "no answer: " + l.Error
	switch {
	case l.Reset != "":
		got = "reset with " + l.Reset
	case l.Status != 0:
		got = fmt.Sprint(l.Status)
	}
	return probe.WantGot(label, want, got).As(probe.KindStatus)
}
