// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// TLSFloor checks that HBONE takes TLS 1.3 only. TLS12_ENABLED of ztunnel is a
// legitimate exception that somebody chose: it is reported with the cause.
var TLSFloor = probe.DefineOn(probe.Meta{
	ID:      "hbone/tls-floor",
	Title:   "HBONE refuses TLS older than 1.3",
	About:   "The accepted client tries again with TLS 1.2 at most. The answer must be protocol_version, unless ztunnel runs with TLS12_ENABLED=true.",
	Clause:  spec.HBONETLSProfile,
	Causes:  []probe.Cause{causeOldTLS, verdict.WrongReason},
	After:   []string{"hbone/handshake"},
	Applies: "ambient workloads",
}, seen.AmbientListeners(), func(l seen.Listener) []probe.Finding {
	return []probe.Finding{verdict.Refusal("HBONE client with TLS 1.2 at most", l.OldTLS, l.Good.Handshake, []string{"protocol_version"}, causeOldTLS)}
})

var causeOldTLS = probe.Cause{
	Code: "tls-version-floor", Title: "HBONE takes TLS 1.2",
	Try: []string{"kubectl --context {{.Cluster}} -n istio-system get daemonset ztunnel -o yaml | grep -A1 TLS12_ENABLED   # unset it, or accept it knowingly"},
}
