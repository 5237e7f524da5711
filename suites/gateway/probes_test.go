// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"testing"

	"github.com/meshprobe/meshprobe/fixtures"
	"github.com/meshprobe/meshprobe/pkg/probe/probetest"
	"github.com/meshprobe/meshprobe/suites/gateway"
)

func TestProbes(t *testing.T) {
	for _, p := range gateway.Probes() {
		t.Run(p.ID, func(t *testing.T) { probetest.Judge(t, p, fixtures.FS) })
	}
}

func FuzzJudge(f *testing.F) { probetest.Fuzz(f, gateway.Probes(), fixtures.FS) }
