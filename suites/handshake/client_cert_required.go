// SPDX-License-Identifier: Apache-2.0

package handshake

import (
	"strings"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// ClientCertRequired checks that TLS is mutual: the server asks for a client
// certificate and refuses a client without one.
var ClientCertRequired = probe.DefineOn(probe.Meta{
	ID:      "handshake/client-cert-required",
	Title:   "a sidecar refuses a client without a certificate",
	About:   "The same handshake as the accepted one is made with an empty certificate. It must be refused with certificate_required under TLS 1.3, handshake_failure under TLS 1.2.",
	Clause:  spec.IstioClientCertRequired,
	Causes:  []probe.Cause{cause.NotAsked, verdict.WrongReason},
	After:   []string{"handshake/local-mtls"},
	Applies: "sidecar workloads",
}, seen.SidecarListeners(), judgeClientCertRequired)

func judgeClientCertRequired(l seen.Listener) []probe.Finding {
	if l.Workload.MTLS == cluster.Disable {
		return []probe.Finding{probe.Skipping("mutual TLS is disabled for the workload")}
	}
	if l.Good.Outcome.OK() && !l.Good.Asked {
		return []probe.Finding{probe.Failing(cause.NotAsked,
			probe.WantGot("CertificateRequest of "+l.Workload.String(), "sent", "not sent"),
			probe.Text("client without a certificate", l.NoCert.Said()))}
	}
	f := verdict.Refusal("client without a certificate", l.NoCert, l.Good.Handshake, []string{"certificate_required", "handshake_failure"}, cause.NotAsked)
	f.Evidence = append(f.Evidence, probe.Text("authorities that the server names", strings.Join(l.Good.Authorities, "\n")))
	return []probe.Finding{f}
}
