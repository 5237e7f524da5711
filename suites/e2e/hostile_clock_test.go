// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded"
	"github.com/meshprobe/meshprobe/pkg/federate"
	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// off is a clock that is wrong by d.
func off(d time.Duration) func() time.Time { return func() time.Time { return time.Now().Add(d) } }

// TestClockOffForAll: where the clusters and meshprobe share one wrong clock,
// nothing is wrong.
func TestClockOffForAll(t *testing.T) {
	leakFree(t)
	for name, d := range map[string]time.Duration{"ahead": 24 * time.Hour, "behind": -24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			j := job{topology: defaultTopology(t), provider: embedded.Provider{Now: off(d)}}
			got := j.run(t.Context(), t, 20*time.Second)
			if got.Verdict != probe.Conformant || got.err != nil {
				t.Errorf("%s, %v\n%s", got.Verdict, got.err, troubles(got.findings))
			}
		})
	}
}

// TestClockOffBetween: where the clocks of clusters and meshprobe differ by a
// day, the run ends in time and says that something is wrong, with reports that
// can be read; it is never conformant.
func TestClockOffBetween(t *testing.T) {
	leakFree(t)
	for name, d := range map[string]time.Duration{"ahead": 24 * time.Hour, "behind": -24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			top := defaultTopology(t)
			set, err := (&embedded.Provider{Now: off(d)}).Open(t.Context(), top, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := set.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}()
			federateAt(t, set, off(d))
			// Probes look with the right clock.
			got := on(set).run(t.Context(), t, 20*time.Second)
			if got.err != nil || got.ExitStatus() == 0 {
				t.Errorf("%s, %v", got.Verdict, got.err)
			}
			for _, f := range got.findings {
				if f.Status == "fail" && f.Cause == probe.Unknown.Code {
					t.Errorf("%s %s fails for an unknown cause: %+v", f.ID, f.Subject, f.Evidence)
				}
			}
			t.Logf("%s\n%s", got.Verdict, troubles(got.findings))
		})
	}
}

func federateAt(t *testing.T, set *cluster.Set, now func() time.Time) {
	t.Helper()
	is, err := issuer.NewBuiltin(&issuer.Memory{}, issuer.Options{KeyType: issuer.ECDSAP256, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := federate.NewPlan(t.Context(), set, federate.Options{Issuer: is, NoVerify: true, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if err := federate.Apply(t.Context(), plan, nil); err != nil {
		t.Fatal(err)
	}
}
