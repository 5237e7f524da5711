// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites/cause"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// renewed has the hints of ambient workloads restart the ztunnel: it holds
// their certificates, not their pods.
func renewed(judge func(seen.Workload) []probe.Finding) func(seen.Workload) []probe.Finding {
	return func(o seen.Workload) []probe.Finding {
		found := judge(o)
		if o.Workload.DataPlane == cluster.Ambient {
			for i := range found {
				found[i] = found[i].With("Restart", cause.RestartZtunnel)
			}
		}
		return found
	}
}
