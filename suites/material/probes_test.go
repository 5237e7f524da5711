// SPDX-License-Identifier: Apache-2.0

package material_test

import (
	"testing"

	"github.com/meshprobe/meshprobe/fixtures"
	"github.com/meshprobe/meshprobe/pkg/probe/probetest"
	"github.com/meshprobe/meshprobe/suites/material"
)

func TestProbes(t *testing.T) {
	for _, p := range material.Probes() {
		t.Run(p.ID, func(t *testing.T) { probetest.Judge(t, p, fixtures.FS) })
	}
}

func FuzzJudge(f *testing.F) { probetest.Fuzz(f, material.Probes(), fixtures.FS) }
