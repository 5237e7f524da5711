// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded"
	"github.com/meshprobe/meshprobe/pkg/federate"
	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/probetest"
	"github.com/meshprobe/meshprobe/suites"
)

// fixturesDir is the repository's fixtures, from here.
const fixturesDir = "../../fixtures"

// TestRecordFixtures records the observations that the fixtures of all suites
// are mutations of, from a healthy run of two embedded clusters:
//
//	go test ./suites/e2e -run TestRecordFixtures -args -update
func TestRecordFixtures(t *testing.T) {
	if !probetest.Update() {
		t.Skip("writes to fixtures/observations/recorded; asked for with -args -update")
	}
	record := recordRun(t)
	seen := map[string]bool{}
	for _, p := range suites.All() {
		name := p.ObservationName()
		if seen[name] {
			continue
		}
		seen[name] = true
		raw := first(record, name)
		if raw == nil {
			t.Errorf("the run made no observation %s, which %s judges", name, p.ID)
			continue
		}
		var text bytes.Buffer
		if err := json.Indent(&text, raw, "", "  "); err != nil {
			t.Fatal(err)
		}
		text.WriteByte('\n')
		file := filepath.Join(fixturesDir, filepath.FromSlash(probetest.RecordedFile(name)))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// recordRun runs every probe of every profile against a federated mesh.
func recordRun(t *testing.T) *probe.Record {
	t.Helper()
	topology, err := cluster.Default(2)
	if err != nil {
		t.Fatal(err)
	}
	set, err := (&embedded.Provider{ConnectTimeout: time.Second}).Open(t.Context(), topology, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := set.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	federation(t, set)
	// Profiles decide which probes run, not which observations there are: a
	// probe of any profile may be the only one to judge an observation.
	all := suites.All()
	for i := range all {
		all[i].Profiles = nil
	}
	plan, err := probe.Select(all, probe.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "record")
	recorder, err := probe.NewRecorder(dir)
	if err != nil {
		t.Fatal(err)
	}
	env, err := probe.NewEnv(t.Context(), set, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	sink := &unhealthy{t: t}
	runner := &probe.Runner{Sink: sink, Recorder: recorder}
	start := probe.RunStarted{Provider: embedded.Name}
	setup := func(context.Context, func(probe.Progress)) (*probe.Env, error) { return env, nil }
	if _, err := runner.Run(t.Context(), start, plan, setup); err != nil {
		t.Fatal(err)
	}
	record, err := probe.ReadRecord(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func federation(t *testing.T, set *cluster.Set) {
	t.Helper()
	root, err := issuer.NewBuiltin(&issuer.Memory{}, issuer.Options{KeyType: issuer.ECDSAP256})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := federate.NewPlan(t.Context(), set, federate.Options{Issuer: root, ServiceEntries: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := federate.Apply(t.Context(), plan, nil); err != nil {
		t.Fatal(err)
	}
}

// first is the observation whose subject sorts first, so that recording again
// takes the same one, whatever came first in time.
func first(record *probe.Record, name string) json.RawMessage {
	var least string
	var raw json.RawMessage
	for subject, value := range record.Recorded(name) {
		if raw == nil || subject < least {
			least, raw = subject, value
		}
	}
	return raw
}

// unhealthy is a sink that complains about failures: fixtures are recorded
// from a mesh with which nothing is wrong.
type unhealthy struct{ t *testing.T }

// Emit takes one event.
func (u *unhealthy) Emit(e probe.Event) error {
	done, ok := e.(probe.FindingDone)
	if !ok {
		return nil
	}
	switch f := done.Finding; f.Status {
	case probe.Pass, probe.Skip, probe.Warn, probe.Note:
	default:
		u.t.Logf("%s %s: %s %s %s %+v", f.Status, f.ID, f.Subject, f.Cause.Code, f.Reason, f.Evidence)
		u.t.Errorf("%s %s: %s", f.Status, f.ID, f.Subject)
	}
	return nil
}

// Close has nothing to close.
func (u *unhealthy) Close() error { return nil }
