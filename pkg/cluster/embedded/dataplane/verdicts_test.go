// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
)

func TestVerdictsAreRememberedWhileTheyHold(t *testing.T) {
	a := newCA(t)
	id := a.svid(t, spiffe(ownDomain, "reviews"), func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Minute)
	})
	asked := 0
	say := func(c verifier.Chain, o verifier.Options) verifier.Verdict {
		asked++
		return verifier.Envoy(c, o)
	}
	var v verdicts
	now := time.Now()
	for _, step := range []struct {
		name   string
		at     time.Time
		domain string
		ok     bool
		asked  int
	}{
		{"first", now, ownDomain, true, 1},
		{"again", now.Add(time.Second), ownDomain, true, 1},
		{"other-domain", now, alias, false, 2},
		{"refusals-are-asked-again", now, alias, false, 3},
		{"expired", now.Add(2 * time.Minute), ownDomain, false, 4},
		{"not-yet-valid", now.Add(-2 * time.Minute), ownDomain, false, 5},
		{"still-remembered", now, ownDomain, true, 5},
	} {
		err := v.judge(say, id.Certificates, verifier.Options{Roots: id.Roots, At: step.at, TrustDomains: []string{step.domain}})
		if (err == nil) != step.ok || asked != step.asked {
			t.Errorf("%s: %v, the verifier was asked %d times; want accepted %v and %d", step.name, err, asked, step.ok, step.asked)
		}
	}
}

func TestVerdictsAreBounded(t *testing.T) {
	a := newCA(t)
	id := a.svid(t, spiffe(ownDomain, "reviews"))
	var v verdicts
	for i := range 3 * maxVerdicts {
		// A peer may append anything to its chain.
		chain := append(id.Certificates[:2:2], &x509.Certificate{Raw: []byte{byte(i), byte(i >> 8)}})
		accept := func(verifier.Chain, verifier.Options) verifier.Verdict { return verifier.Verdict{Accepts: true} }
		if err := v.judge(accept, chain, verifier.Options{At: time.Now(), TrustDomains: []string{ownDomain}}); err != nil {
			t.Fatal(err)
		}
	}
	if len(v.accepted) > maxVerdicts {
		t.Errorf("%d verdicts are kept", len(v.accepted))
	}
}
