// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/probe"
	v1 "github.com/meshprobe/meshprobe/pkg/report/v1"
)

var update = flag.Bool("update", false, "rewrite the goldens")

const runsDir = "../../fixtures/runs"

// recorded reads a run of fixtures/runs.
func recorded(t testing.TB, name string) []probe.Event {
	t.Helper()
	f, err := os.Open(filepath.Join(runsDir, name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dec := v1.NewDecoder(f)
	var events []probe.Event
	for {
		e, err := dec.Next()
		if errors.Is(err, io.EOF) {
			return events
		}
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
}

// feed gives events to a sink and closes it.
func feed(t testing.TB, s probe.Sink, events []probe.Event) {
	t.Helper()
	for _, e := range events {
		if err := s.Emit(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// render is what a reporter makes of events.
func render(t testing.TB, format string, opts Options, events []probe.Event) string {
	t.Helper()
	var b bytes.Buffer
	s, err := New(format, &b, opts)
	if err != nil {
		t.Fatal(err)
	}
	feed(t, s, events)
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), -update rewrites it:\n%s", path, diff)
	}
}

func runs(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(runsDir, "*.jsonl"))
	if err != nil || len(paths) < 2 {
		t.Fatalf("%d runs in %s (err %v)", len(paths), runsDir, err)
	}
	var names []string
	for _, p := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(p), ".jsonl"))
	}
	return names
}

func TestGoldens(t *testing.T) {
	files := Options{Files: []string{"report.xml", "run.json"}}
	colored := files
	colored.Color = true
	narrow := files
	narrow.Width = 72
	for _, run := range runs(t) {
		events := recorded(t, run)
		for ext, c := range map[string]struct {
			format string
			opts   Options
		}{
			"txt":        {FormatText, files},
			"color.txt":  {FormatText, colored},
			"narrow.txt": {FormatText, narrow},
			"json":       {FormatJSON, Options{}},
			"jsonl":      {FormatJSONL, Options{}},
			"xml":        {FormatJUnit, Options{}},
		} {
			t.Run(run+"."+ext, func(t *testing.T) {
				golden(t, run+"."+ext, render(t, c.format, c.opts, events))
			})
		}
	}
}

// Reports are attached to issues: what must never be in one is not.
func TestGoldensHoldNoSecrets(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.golden")
	if err != nil || len(paths) < 12 {
		t.Fatalf("%d goldens (err %v)", len(paths), err)
	}
	for _, p := range paths {
		raw, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"PRIVATE KEY", "token", "eyJ", "client-key-data", "password"} {
			if strings.Contains(strings.ToLower(string(raw)), strings.ToLower(secret)) {
				t.Errorf("%s contains %q", p, secret)
			}
		}
	}
}
