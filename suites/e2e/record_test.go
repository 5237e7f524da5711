// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/meshprobe/meshprobe/pkg/cluster"
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
	record, waypoints := recordRun(t, open(t)), recordRun(t, dataPlanes(t))
	seen := map[string]bool{}
	for _, p := range suites.Mesh() {
		name := p.ObservationName()
		if seen[name] {
			continue
		}
		seen[name] = true
		raw := first(record, name)
		if raw == nil {
			raw = first(waypoints, name) // of what the default topology has none
		}
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

// recordRun runs every probe of every profile against a mesh, which it federates,
// with which nothing may be wrong.
func recordRun(t *testing.T, set *cluster.Set) *probe.Record {
	t.Helper()
	federation(t, set)
	dir := filepath.Join(t.TempDir(), "record")
	recorder, err := probe.NewRecorder(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range run(t, set, recorder) {
		if f.Status == probe.Fail || f.Status == probe.Pending || f.Status == probe.Blocked || f.Status == probe.Broken {
			t.Errorf("%s %s %s: %s %s\n%+v", f.Status, f.ID, f.Subject, f.Cause.Code, f.Reason, f.Evidence)
		}
	}
	record, err := probe.ReadRecord(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	return record
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
