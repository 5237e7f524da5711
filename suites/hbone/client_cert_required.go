// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// ClientCertRequired checks that HBONE refuses a client without certificate.
var ClientCertRequired = probe.DefineOn(probe.Meta{
	ID:      "hbone/client-cert-required",
	Title:   "HBONE refuses a client without a certificate",
	About:   "The handshake is made with an empty certificate. It must be refused with certificate_required.",
	Clause:  spec.HBONEClientCert,
	Causes:  []probe.Cause{cause.NotAsked, verdict.WrongReason},
	After:   []string{"hbone/handshake"},
	Applies: "ambient workloads",
}, seen.AmbientListeners(), func(l seen.Listener) []probe.Finding {
	return []probe.Finding{verdict.Refusal("HBONE client without a certificate", l.NoCert, l.Good.Handshake, []string{"certificate_required"}, cause.NotAsked)}
})
