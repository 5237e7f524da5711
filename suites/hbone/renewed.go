// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites/cause"
)

// renewed has the hints restart the ztunnel: it holds the certificates of its
// node's workloads, not their pods.
func renewed[O any](judge func(O) []probe.Finding) func(O) []probe.Finding {
	return func(o O) []probe.Finding {
		found := judge(o)
		for i := range found {
			found[i] = found[i].With("Restart", cause.RestartZtunnel)
		}
		return found
	}
}
