// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/probe"
	v1 "github.com/meshprobe/meshprobe/pkg/report/v1"
)

func TestUnknownFormat(t *testing.T) {
	for format, want := range map[string]string{
		"jsn":   `report: unknown format "jsn", did you mean "json"`,
		"JUnit": `report: unknown format "JUnit", did you mean "junit"`,
		"sarif": `report: unknown format "sarif"; known are text, json, jsonl, junit`,
		"":      `report: unknown format ""; known are text, json, jsonl, junit`,
	} {
		s, err := New(format, io.Discard, Options{})
		if _, ok := errors.AsType[*FormatError](err); !ok || s != nil {
			t.Errorf("%q: %v, %v", format, s, err)
			continue
		}
		if diff := cmp.Diff(want, err.Error()); diff != "" {
			t.Error(diff)
		}
	}
}

// JSON is one v1.Report that says what the events said.
func TestJSONHoldsTheRun(t *testing.T) {
	for _, run := range runs(t) {
		events := recorded(t, run)
		raw := render(t, FormatJSON, Options{}, events)
		dec := json.NewDecoder(strings.NewReader(raw))
		dec.DisallowUnknownFields()
		var got v1.Report
		if err := dec.Decode(&got); err != nil {
			t.Fatal(err)
		}
		want := v1.Report{Schema: v1.Schema, Findings: []v1.Finding{}}
		for _, e := range events {
			switch e := e.(type) {
			case probe.RunStarted:
				want.Run = v1.RunOf(e)
			case probe.FindingDone:
				want.Findings = append(want.Findings, v1.FindingOf(e.Finding))
			case probe.RunDone:
				done := v1.DoneOf(e)
				want.Run.DurationMS, want.Verdict, want.Counts = done.DurationMS, done.Verdict, done.Counts
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", run, diff)
		}
	}
}

// A spool that spills must give the same bytes as one that does not.
func TestSpilledReportsAreWhole(t *testing.T) {
	const n = 3000
	f := probe.Finding{
		Status: probe.Warn, ID: "a/b", Title: "t", Subject: "east",
		Evidence: []probe.Evidence{{Kind: probe.KindText, Label: "l", Got: strings.Repeat("x", 4<<10)}},
	}
	events := []probe.Event{probe.RunStarted{Clusters: []probe.ClusterFacts{{Name: "east"}, {Name: "west"}}}}
	for i := range n {
		f.Seq, f.Subject = i+1, [...]string{"east", "west"}[i%2]
		events = append(events, probe.FindingDone{Finding: f})
	}
	events = append(events, probe.RunDone{Verdict: probe.Conformant})
	var got v1.Report
	if err := json.Unmarshal([]byte(render(t, FormatJSON, Options{TempDir: t.TempDir()}, events)), &got); err != nil {
		t.Fatal(err)
	}
	for i, f := range got.Findings {
		if f.Seq != i+1 || len(f.Evidence[0].Got) != 4<<10 {
			t.Fatalf("finding %d has seq %d", i, f.Seq)
		}
	}
	d := parse(t, render(t, FormatJUnit, Options{TempDir: t.TempDir()}, events))
	if got := [3]int{len(got.Findings), len(d.Suites[0].Cases), len(d.Suites[1].Cases)}; got != [3]int{n, n / 2, n / 2} {
		t.Errorf("findings and cases: %v", got)
	}
}

func TestOrdered(t *testing.T) {
	events := recorded(t, "healthy")
	shuffled := slices.Clone(events)
	slices.Reverse(shuffled[1 : len(shuffled)-1])
	var seen []string
	order := map[string]int{}
	for i, p := range events[0].(probe.RunStarted).Planned {
		order[p.ID] = i
	}
	sink := &collector{}
	feed(t, Ordered(sink), shuffled)
	for i, e := range sink.events {
		switch e := e.(type) {
		case probe.FindingDone:
			seen = append(seen, e.Finding.ID+" "+e.Finding.Subject)
			if prev, ok := sink.events[i-1].(probe.FindingDone); ok {
				a, b := prev.Finding, e.Finding
				if order[a.ID] > order[b.ID] || a.ID == b.ID && a.Subject > b.Subject {
					t.Errorf("%s %s before %s %s", a.ID, a.Subject, b.ID, b.Subject)
				}
			}
		case probe.RunStarted:
			if i != 0 {
				t.Errorf("the run starts at %d", i)
			}
		case probe.RunDone:
			if i != len(events)-1 {
				t.Errorf("the run is done at %d", i)
			}
		}
	}
	if len(seen) != len(events)-2 {
		t.Errorf("%d findings of %d", len(seen), len(events)-2)
	}
}

// Text and JUnit suites do not depend on the order of completion.
func TestTextIgnoresCompletionOrder(t *testing.T) {
	for _, run := range runs(t) {
		events := recorded(t, run)
		reversed := slices.Clone(events)
		slices.Reverse(reversed[1 : len(reversed)-1])
		want, got := render(t, FormatText, Options{}, events), render(t, FormatText, Options{}, reversed)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-in order +reversed):\n%s", run, diff)
		}
	}
}

type collector struct {
	events []probe.Event
	closed int
}

func (c *collector) Emit(e probe.Event) error { c.events = append(c.events, e); return nil }
func (c *collector) Close() error             { c.closed++; return nil }

func TestTeeDropsOnlyWhatFails(t *testing.T) {
	events := recorded(t, "healthy")
	good := &collector{}
	bad, err := New(FormatJSONL, &errWriter{left: 1000}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	tee := Tee(bad, good)
	for _, e := range events {
		if err := tee.Emit(e); err != nil {
			t.Fatal(err)
		}
	}
	err = tee.Close()
	if !errors.Is(err, errDiskFull) || strings.Count(err.Error(), "report:") != 1 {
		t.Errorf("Close: %v", err)
	}
	if len(good.events) != len(events) || good.closed != 1 {
		t.Errorf("the good sink got %d of %d events and was closed %d times", len(good.events), len(events), good.closed)
	}
	if err := Tee(bad).Emit(events[0]); !errors.Is(err, errDiskFull) {
		t.Errorf("with no sink left: %v", err)
	}
	if err := Tee().Emit(events[0]); err != nil {
		t.Errorf("without sinks: %v", err)
	}
}

var errDiskFull = errors.New("no space left on device")

// errWriter is a disk that fills up, or a pipe that somebody closes.
type errWriter struct{ left int }

func (w *errWriter) Write(b []byte) (int, error) {
	if len(b) > w.left {
		n := w.left
		w.left = 0
		return n, errDiskFull
	}
	w.left -= len(b)
	return len(b), nil
}

func TestFullDisk(t *testing.T) {
	events := recorded(t, "broken-federation")
	for _, format := range Formats() {
		whole := len(render(t, format, Options{}, events))
		for _, left := range []int{0, 1, whole / 2, whole - 1} {
			s, err := New(format, &errWriter{left: left}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				err = errors.Join(err, s.Emit(e))
			}
			if err = errors.Join(err, s.Close()); !errors.Is(err, errDiskFull) {
				t.Errorf("%s with room for %d of %d bytes: %v", format, left, whole, err)
			}
		}
	}
}

// A sink that saw nothing writes nothing: no run, no report.
func TestNothingFromNothing(t *testing.T) {
	for _, format := range Formats() {
		if got := render(t, format, Options{}, nil); got != "" {
			t.Errorf("%s: %q", format, got)
		}
	}
}

func TestProgress(t *testing.T) {
	events := []probe.Event{
		probe.Progress{Cluster: "east", Step: "restart istiod", Detail: "waiting"},
		probe.FindingDone{Finding: probe.Finding{ID: "a/b\x1b[2J", Status: probe.Fail}},
	}
	var b bytes.Buffer
	feed(t, Progress(&b, false), events)
	if b.Len() > 0 {
		t.Errorf("off a terminal: %q", b.String())
	}
	p := Progress(&b, true).(*progress)
	clock := p.now()
	p.now = func() time.Time { clock = clock.Add(progressEvery); return clock }
	feed(t, p, events)
	want := "\r\x1b[Keast: restart istiod, waiting" +
		"\r\x1b[K1 done, 1 failed   a/b\\x1b[2J" +
		"\r\x1b[K"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
	broken := Progress(&errWriter{}, true)
	feed(t, broken, events)
}
