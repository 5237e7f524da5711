// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/meshprobe/meshprobe/fixtures"
	"github.com/meshprobe/meshprobe/pkg/probe/probetest"
	"github.com/meshprobe/meshprobe/suites/endpoint"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestProbes(t *testing.T) {
	for _, p := range endpoint.Probes() {
		t.Run(p.ID, func(t *testing.T) { probetest.Judge(t, p, fixtures.FS) })
	}
}

func FuzzJudge(f *testing.F) { probetest.Fuzz(f, endpoint.Probes(), fixtures.FS) }
