// SPDX-License-Identifier: Apache-2.0

package material

import (
	"fmt"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// BundleParameters checks what a SPIFFE bundle says beside its keys.
var BundleParameters = probe.DefineOn(probe.Meta{
	ID:      "material/bundle-parameters",
	Title:   "the SPIFFE bundle says its sequence number and how often to look again",
	About:   "spiffe_sequence tells an old bundle from a new one, spiffe_refresh_hint how soon a removed key stops being trusted elsewhere. Without them consumers guess: Istio polls every 30 minutes.",
	Clause:  spec.BundleRefreshHint,
	Causes:  []probe.Cause{causeNoHint, causeNoSequence},
	Applies: "SPIFFE bundles",
}, documents(sortBundle), judgeBundleParameters)

var (
	causeNoHint = probe.Cause{
		Code: "bundle-without-refresh-hint", Title: "the bundle does not say how often to look for a new one",
		Try: []string{"set spiffe_refresh_hint, in seconds: SPIRE has federation.bundle_endpoint.refresh_hint"},
	}
	causeNoSequence = probe.Cause{
		Code: "bundle-without-sequence", Title: "the bundle has no sequence number: old and new cannot be told apart",
		Try: []string{"set spiffe_sequence, and raise it with every change"},
	}
)

func judgeBundleParameters(e Exam) []probe.Finding {
	b := e.Bundle
	if b == nil {
		return []probe.Finding{probe.Skipping("it is no SPIFFE bundle")}
	}
	if b.RefreshHint == nil {
		return []probe.Finding{probe.Failing(causeNoHint, probe.WantGot("spiffe_refresh_hint", "seconds", "none"), rule(spec.BundleRefreshHint))}
	}
	if b.Sequence == nil {
		return []probe.Finding{probe.Failing(causeNoSequence, probe.WantGot("spiffe_sequence", "a number", "none"), rule(spec.BundleSequence))}
	}
	return []probe.Finding{probe.Passing(probe.Text("bundle", fmt.Sprintf("sequence %d, refreshed every %ds", *b.Sequence, *b.RefreshHint)))}
}

// rule is a clause as evidence, where it is not the probe's own.
func rule(c spec.Clause) probe.Evidence { return probe.Text("rule", c.String()+": "+c.Quote) }
