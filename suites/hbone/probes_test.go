// SPDX-License-Identifier: Apache-2.0

package hbone_test

import (
	"testing"

	"github.com/meshprobe/meshprobe/fixtures"
	"github.com/meshprobe/meshprobe/pkg/probe/probetest"
	"github.com/meshprobe/meshprobe/suites/hbone"
)

func TestProbes(t *testing.T) {
	for _, p := range hbone.Probes() {
		t.Run(p.ID, func(t *testing.T) { probetest.Judge(t, p, fixtures.FS) })
	}
}

func FuzzJudge(f *testing.F) { probetest.Fuzz(f, hbone.Probes(), fixtures.FS) }
