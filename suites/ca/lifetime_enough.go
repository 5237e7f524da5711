// SPDX-License-Identifier: Apache-2.0

package ca

import (
	"time"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// LifetimeEnough checks that there is time to renew the CA before leaves are
// cut short by its end.
var LifetimeEnough = probe.DefineOn(probe.Meta{
	ID:      "ca/lifetime-enough",
	Title:   "the CA has enough time left to renew it in peace",
	About:   "Every certificate from ca-cert.pem up to the root has more left than two lifetimes of a leaf (istiod cuts leaves short after that), and more than a tenth of its own life, or 30 days where that is less.",
	Clause:  spec.IstioCALifetime,
	Causes:  []probe.Cause{causeExpiring},
	After:   []string{"ca/lifetime-left"},
	Applies: "clusters",
}, seen.Authorities(), judgeLifetimeEnough)

var causeExpiring = probe.Cause{
	Code: "ca-expires-soon", Title: "a certificate of the CA ends soon, and every leaf below it ends with it",
	Try: []string{"renew it while both old and new are valid: " + refederate, showCACert},
}

// Bounds of the time that must be left.
const (
	leafLife    = 24 * time.Hour // DEFAULT_WORKLOAD_CERT_TTL of istiod
	monthBefore = 30 * 24 * time.Hour
)

func judgeLifetimeEnough(a seen.Authority) []probe.Finding {
	s, cert, f := plugged(a)
	if cert == nil {
		return []probe.Finding{f}
	}
	way, _ := path(s)
	var passed []probe.Evidence
	for _, c := range way {
		want := max(2*issuedLife(a), min(c.NotAfter.Sub(c.NotBefore)/10, monthBefore))
		got := probe.WantGot(seen.Subject(c)+" of "+a.Cluster, "more than "+seen.Span(want)+" left", seen.Validity(c, a.At))
		if c.NotAfter.Sub(a.At) <= want {
			return []probe.Finding{probe.Failing(causeExpiring, got, files(s, a.At)...)}
		}
		passed = append(passed, got)
	}
	return []probe.Finding{probe.Passing(passed...)}
}

// issuedLife is how long the leaves of this CA live.
func issuedLife(a seen.Authority) time.Duration {
	if leaf := a.Issued.Leaf(); leaf != nil {
		return leaf.NotAfter.Sub(leaf.NotBefore)
	}
	return leafLife
}
