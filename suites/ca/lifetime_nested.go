// SPDX-License-Identifier: Apache-2.0

package ca

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// LifetimeNested checks that no CA outlives the one above it: the chain ends
// with whichever ends first, long before the date that its owner watches.
var LifetimeNested = probe.DefineOn(probe.Meta{
	ID:      "ca/lifetime-nested",
	Title:   "no certificate of the CA outlives its issuer",
	About:   "From ca-cert.pem up to the root, each notAfter is no later than the issuer's. An intermediate that outlives its root is dead on the day on which the root ends, whatever its own date says.",
	Clause:  spec.IstioCALifetime,
	Causes:  []probe.Cause{causeOutlivesRoot},
	After:   []string{"ca/signed-by-root", "ca/lifetime-left"},
	Applies: "clusters",
}, seen.Authorities(), judgeLifetimeNested)

var causeOutlivesRoot = probe.Cause{
	Code: "intermediate-outlives-issuer", Title: "a CA certificate is valid longer than the one that vouches for it",
	Try: []string{"renew the issuer before it ends, or issue the intermediate for a shorter time: " + refederate, showCACert},
}

func judgeLifetimeNested(a seen.Authority) []probe.Finding {
	s, cert, f := plugged(a)
	if cert == nil {
		return []probe.Finding{f}
	}
	way, ok := path(s)
	if !ok {
		return []probe.Finding{probe.Skipping("the issuer of the signing certificate is not in cacerts")}
	}
	for i, c := range way[1:] {
		if below := way[i]; below.NotAfter.After(c.NotAfter) {
			return []probe.Finding{probe.Failing(causeOutlivesRoot,
				probe.WantGot("end of "+seen.Subject(below)+" of "+a.Cluster,
					"no later than "+seen.Stamp(c.NotAfter)+", the end of "+seen.Subject(c), seen.Stamp(below.NotAfter)), files(s, a.At)...)}
		}
	}
	return []probe.Finding{probe.Passing(probe.Text("ca-cert.pem", seen.Validity(cert, a.At)))}
}
