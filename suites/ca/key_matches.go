// SPDX-License-Identifier: Apache-2.0

package ca

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// KeyMatches checks that the private key in cacerts belongs to the signing
// certificate. Only the hash of its public half is ever looked at.
var KeyMatches = probe.DefineOn(probe.Meta{
	ID:      "ca/key-matches",
	Title:   "the key in cacerts belongs to its signing certificate",
	About:   "The public half of ca-key.pem is the public key of ca-cert.pem. Keys that were swapped between clusters keep istiod from starting: \"the cert does not match the key\".",
	Clause:  spec.IstioCACertsKey,
	Causes:  []probe.Cause{causeOtherKey},
	After:   []string{"ca/cacerts-complete"},
	Applies: "clusters",
}, seen.Authorities(), judgeKeyMatches)

var causeOtherKey = probe.Cause{
	Code: "cacerts-chain-invalid", Title: "the private key in cacerts is not that of its certificate, or cannot be read",
	Try: []string{
		"put the key that ca-cert.pem was issued for into ca-key.pem of cacerts; has it been swapped with another cluster's?",
		"or issue a new intermediate: " + refederate,
		restartIstiod,
	},
}

func judgeKeyMatches(a seen.Authority) []probe.Finding {
	s, cert, f := plugged(a)
	if cert == nil {
		return []probe.Finding{f}
	}
	got := "SHA-256 of its public half: " + s.KeySPKI
	if s.KeyError != "" {
		got = "cannot be read: " + s.KeyError
	}
	evidence := probe.WantGot("ca-key.pem of "+a.Cluster, "SHA-256 of its public half: "+verifier.SPKI(cert), got)
	if s.KeyError != "" || s.KeySPKI != verifier.SPKI(cert) {
		return []probe.Finding{probe.Failing(causeOtherKey, evidence, files(s, a.At)...)}
	}
	return []probe.Finding{probe.Passing(evidence)}
}
