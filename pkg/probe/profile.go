// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"slices"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Profile is a promise that a mesh is held to: a choice of probes.
type Profile struct {
	Name  string
	Title string // one line for meshprobe list profiles
}

// The profiles.
var (
	// Istio is the default: what Istio promises. Stock Istio passes.
	Istio = Profile{"istio", "what Istio promises; stock Istio passes"}
	// Ambient adds what ambient multi-network needs beyond that: one trust
	// domain, since ztunnel honours no aliases.
	Ambient = Profile{"ambient", "istio, and what only ambient needs: ztunnel's exact identities, one trust domain"}
	// SPIFFEStrict holds CA certificates to the SPIFFE documents too. Stock
	// Istio does not pass: its CAs are no SVIDs.
	SPIFFEStrict = Profile{"spiffe-strict", "every clause of the SPIFFE documents, CA certificates included; stock Istio does not pass"}
)

// Profiles lists the profiles, the default first.
func Profiles() []Profile { return []Profile{Istio, Ambient, SPIFFEStrict} }

// ParseProfile finds a profile by name; the error is a *UsageError.
func ParseProfile(name string) (Profile, error) {
	var names []string
	for _, p := range Profiles() {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Profile{}, &UsageError{Msg: "unknown profile " + quote(name), Hint: cluster.DidYouMean(name, names)}
}

// includes says whether a probe belongs to the profile.
func (p Profile) includes(m Meta) bool {
	return len(m.Profiles) == 0 || slices.Contains(m.Profiles, p.Name)
}
