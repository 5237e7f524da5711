// SPDX-License-Identifier: Apache-2.0

package embedded

import "github.com/meshprobe/meshprobe/pkg/cluster"

// Check refuses a topology that this provider has no proxies for. Errors are
// *cluster.TopologyError.
func (p *Provider) Check(t cluster.Topology) error {
	if what := t.NeedsEnvoy(); what != "" {
		return &cluster.TopologyError{
			Msg:  "the embedded clusters have no Envoy for " + what,
			Hint: "real clusters have: --provider kind; or leave out hbone and waypoint",
		}
	}
	return nil
}
