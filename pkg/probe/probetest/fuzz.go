// SPDX-License-Identifier: Apache-2.0

package probetest

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

// Fuzz holds a probe to be total: whatever JSON decodes as its observation is
// judged without a panic, and every finding is one that the engine lets pass as
// it is. A judge may say that it cannot judge; the engine may not have to.
func Fuzz(f *testing.F, probes []probe.Probe, fsys fs.FS) {
	for i, p := range probes {
		for _, fx := range Fixtures(f, p, fsys) {
			f.Add(i, fx.Observation(f, p, fsys))
		}
	}
	f.Fuzz(func(t *testing.T, i int, raw []byte) {
		if i < 0 || i >= len(probes) {
			t.Skip("no such probe")
		}
		findings, err := probes[i].JudgeRaw(raw)
		if err != nil {
			return
		}
		for _, one := range findings {
			if one.Status == probe.Broken && (strings.HasPrefix(one.Reason, "panic in ") || strings.HasPrefix(one.Reason, "the judge of ")) {
				t.Errorf("%s: %s\n%+v", probes[i].ID, one.Reason, one.Evidence)
			}
		}
	})
}
