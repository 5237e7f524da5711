// SPDX-License-Identifier: Apache-2.0

package material

import (
	"fmt"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// BundleAuthorities checks that a SPIFFE bundle can vouch for X.509 identities
// at all.
var BundleAuthorities = probe.DefineOn(probe.Meta{
	ID:      "material/bundle-authorities",
	Title:   "the SPIFFE bundle holds an X.509 authority",
	About:   "Among its keys is at least one of use x509-svid with a certificate in x5c. A bundle that has jwt-svid keys only vouches for no certificate: a mesh that trusts it trusts nobody.",
	Clause:  spec.BundleKeys,
	Causes:  []probe.Cause{causeNoAuthority},
	Applies: "SPIFFE bundles",
}, documents(sortBundle), judgeBundleAuthorities)

var causeNoAuthority = probe.Cause{
	Code: "bundle-without-x509-authority", Title: "the bundle holds no X.509 authority: no certificate is trusted by it",
	Try: []string{"take the bundle in SPIFFE format, not the JWT keys alone: spire-server bundle show -format spiffe"},
}

func judgeBundleAuthorities(e Exam) []probe.Finding {
	if n := len(e.Roots); n > 0 {
		return []probe.Finding{probe.Passing(probe.Text("X.509 authorities", e.trusted().Describe(e.Question.At)).As(probe.KindBundle))}
	}
	jwt := 0
	if e.Bundle != nil {
		jwt = len(e.Bundle.JWTAuthorities)
	}
	return []probe.Finding{probe.Failing(causeNoAuthority, probe.WantGot("keys of use x509-svid", "at least one", fmt.Sprintf("none, beside %d of use jwt-svid", jwt)))}
}
