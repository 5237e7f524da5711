// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// ForeignRootRefused checks that HBONE refuses the right name under a root
// that nobody knows.
var ForeignRootRefused = probe.DefineOn(probe.Meta{
	ID:      "hbone/foreign-root-refused",
	Title:   "HBONE refuses the right name under a foreign root",
	About:   "The client that is accepted otherwise shows its SPIFFE ID under a root made for this purpose. Envoy, ztunnel and Go all answer unknown_ca.",
	Clause:  spec.HBONETrustDomain,
	Causes:  []probe.Cause{causeForeignAccepted, verdict.WrongReason},
	After:   []string{"hbone/handshake", "hbone/client-cert-required"},
	Applies: "ambient workloads",
}, seen.AmbientListeners(), func(l seen.Listener) []probe.Finding {
	return []probe.Finding{verdict.Refusal("HBONE client under a foreign root", l.Foreign, l.Good.Handshake, []string{"unknown_ca"}, causeForeignAccepted)}
})

var causeForeignAccepted = probe.Cause{
	Code: "client-cert-not-verified", Title: "HBONE accepts client certificates of any root: names prove nothing there",
	Try: []string{"istioctl --context {{.Cluster}} ztunnel-config certificates   # which roots does the ztunnel hold?"},
}
