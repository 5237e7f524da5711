// SPDX-License-Identifier: Apache-2.0

package ca

import (
	"crypto/x509"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// LifetimeLeft checks that the CA is valid now, from the signing certificate
// up to the root. Only some verifiers look at the root's dates.
var LifetimeLeft = probe.DefineOn(probe.Meta{
	ID:      "ca/lifetime-left",
	Title:   "the signing certificate and everything above it are valid now",
	About:   "Every certificate from ca-cert.pem up to the root in root-cert.pem is inside its validity. An expired intermediate ends every handshake; an expired root ends those of sidecars and not those of ztunnels.",
	Clause:  spec.RFC5280PathValidity,
	Causes:  cause.Chains(verifier.CauseIntermediateExpired, verifier.CauseRootExpired, verifier.CauseClockSkew),
	After:   []string{"ca/cacerts-complete", "ca/signed-by-root"},
	Applies: "clusters",
}, seen.Authorities(), judgeLifetimeLeft)

func judgeLifetimeLeft(a seen.Authority) []probe.Finding {
	s, cert, f := plugged(a)
	if cert == nil {
		return []probe.Finding{f}
	}
	way, _ := path(s)
	var passed []probe.Evidence
	for _, c := range way {
		if code := validityProblem(c, a); code != "" {
			return []probe.Finding{probe.Failing(cause.Chain(code),
				probe.WantGot(seen.Subject(c)+" of "+a.Cluster, "valid at "+seen.Stamp(a.At), seen.Validity(c, a.At)), files(s, a.At)...)}
		}
		passed = append(passed, probe.Text(seen.Subject(c), seen.Validity(c, a.At)))
	}
	return []probe.Finding{probe.Passing(passed...)}
}

func validityProblem(c *x509.Certificate, a seen.Authority) string {
	switch {
	case a.At.Before(c.NotBefore):
		return verifier.CauseClockSkew
	case !a.At.After(c.NotAfter):
		return ""
	case verifier.SelfSigned(c):
		return verifier.CauseRootExpired
	default:
		return verifier.CauseIntermediateExpired
	}
}
