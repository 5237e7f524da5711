// SPDX-License-Identifier: Apache-2.0

package handshake

import (
	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// inMode judges the listeners of one mode and skips the others.
func inMode(mode cluster.MTLSMode, judge func(seen.Listener) []probe.Finding) func(seen.Listener) []probe.Finding {
	return func(l seen.Listener) []probe.Finding {
		if l.Workload.MTLS != mode {
			return []probe.Finding{probe.Skipping("the workload is in " + string(l.Workload.MTLS) + " mode")}
		}
		if p := l.Plain; p.Outcome == seen.OutOfReach {
			return []probe.Finding{probe.OutOfReach(&cluster.OutOfReachError{Addr: p.Address, Why: p.Error, Hint: p.Hint})}
		}
		return judge(l)
	}
}

// plainEvidence is what came of a plaintext request beside what should have.
func plainEvidence(l seen.Listener, want string) probe.Evidence {
	return probe.WantGot("plaintext request to "+l.Plain.Address, want, verdict.Plaintext(l.Plain))
}
