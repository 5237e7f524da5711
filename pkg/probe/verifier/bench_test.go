// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"testing"

	"github.com/meshprobe/meshprobe/fixtures"
)

// BenchmarkAll is the cost of one judged chain, of which a run of 24 clusters
// has more than a thousand.
func BenchmarkAll(b *testing.B) {
	for _, fixture := range []string{"good", "root-same-dn"} {
		b.Run(fixture, func(b *testing.B) {
			chain, roots := load(b, fixture)
			opts := Options{Roots: roots, At: fixtures.PKITime(), TrustDomains: []string{"cluster.local"}}
			for b.Loop() {
				All(chain, opts)
			}
		})
	}
}
