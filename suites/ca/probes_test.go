// SPDX-License-Identifier: Apache-2.0

package ca_test

import (
	"testing"

	"github.com/meshprobe/meshprobe/fixtures"
	"github.com/meshprobe/meshprobe/pkg/probe/probetest"
	"github.com/meshprobe/meshprobe/suites/ca"
)

func TestProbes(t *testing.T) {
	for _, p := range ca.Probes() {
		t.Run(p.ID, func(t *testing.T) { probetest.Judge(t, p, fixtures.FS) })
	}
}

func FuzzJudge(f *testing.F) { probetest.Fuzz(f, ca.Probes(), fixtures.FS) }
