// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/probe"
	v1 "github.com/meshprobe/meshprobe/pkg/report/v1"
)

// peer is an exhibit as a probe of endpoints makes them.
type peer struct {
	Address string `json:"address"`
	Outcome string `json:"outcome"`
}

func (p peer) Head() string { return "× " + p.Outcome + "\n  by " + p.Address }
func (p peer) Page() string {
	return "chain:\n?  O=cluster.local  ! missing\n└─ 1  \x1b[31mevil\x1b[0m\n       ! extra\n✓ all else"
}
func (p peer) Line() string { return "× " + p.Address + "  " + p.Outcome }

func exhibited(n int) []probe.Event {
	events := []probe.Event{probe.RunStarted{
		Version: "0.1.0", Provider: "probe tls", Profile: "istio", Started: time.Date(2026, 8, 22, 12, 0, 0, 0, time.UTC),
		Planned: []probe.Planned{{ID: "endpoint/tls", Title: "the endpoint speaks TLS"}},
	}}
	for i := range n {
		// Completion order is not the order of the input.
		index := n - i
		subject := fmt.Sprintf("10.0.0.%d:15443", index)
		events = append(events,
			probe.Exhibit{Kind: probe.ExhibitEndpoint, Subject: subject, Index: index, Value: peer{subject, "<refused>"}},
			probe.FindingDone{Finding: probe.Finding{
				ID: "endpoint/tls", Title: "the endpoint speaks TLS", Suite: "endpoint", Subject: subject, Status: probe.Fail, Seq: i + 1,
				Cause:    probe.Cause{Code: "plaintext-on-mtls", Title: "it answers in plaintext"},
				Evidence: []probe.Evidence{probe.WantGot("answer", "TLS", "HTTP/1.1 400")},
				Hint:     []string{"look at the port"},
			}})
	}
	return append(events, probe.RunDone{Verdict: probe.Nonconformant, Counts: map[probe.Status]int{probe.Fail: n}, Duration: time.Second})
}

func TestExhibits(t *testing.T) {
	for _, c := range []struct {
		name, format string
		n            int
		opts         Options
	}{
		{"exhibit.txt", FormatText, 1, Options{}},
		{"exhibit.color.txt", FormatText, 1, Options{Color: true}},
		{"exhibits.lines.txt", FormatText, 3, Options{Lines: true, Files: []string{"report.xml"}}},
		{"exhibit.json", FormatJSON, 1, Options{}},
		{"exhibits.json", FormatJSON, 2, Options{}},
		{"exhibit.jsonl", FormatJSONL, 1, Options{}},
		{"exhibits.xml", FormatJUnit, 2, Options{}},
	} {
		t.Run(c.name, func(t *testing.T) { golden(t, c.name, render(t, c.format, c.opts, exhibited(c.n))) })
	}
}

// An endpoint is an object, several are a list, documents are always one.
func TestExhibitsInJSON(t *testing.T) {
	var one, two v1.Report
	for n, into := range map[int]*v1.Report{1: &one, 2: &two} {
		if err := json.Unmarshal([]byte(render(t, FormatJSON, Options{}, exhibited(n))), into); err != nil {
			t.Fatal(err)
		}
	}
	var got peer
	if err := json.Unmarshal(one.Endpoint, &got); err != nil || len(one.Endpoints) != 0 {
		t.Errorf("endpoint: %v, and %d in a list", err, len(one.Endpoints))
	}
	if diff := cmp.Diff(peer{"10.0.0.1:15443", "<refused>"}, got); diff != "" {
		t.Errorf("endpoint (-want +got):\n%s", diff)
	}
	if len(two.Endpoint) != 0 || len(two.Endpoints) != 2 {
		t.Errorf("of two endpoints: endpoint %q, %d in the list", two.Endpoint, len(two.Endpoints))
	}
	events := exhibited(1)
	x := events[1].(probe.Exhibit)
	x.Kind = probe.ExhibitDocument
	events[1] = x
	var doc v1.Report
	if err := json.Unmarshal([]byte(render(t, FormatJSON, Options{}, events)), &doc); err != nil || len(doc.Documents) != 1 {
		t.Errorf("documents: %v, %d", err, len(doc.Documents))
	}
}

// Lines are written as soon as those before them are there, not at the end.
func TestLinesStream(t *testing.T) {
	var b bytes.Buffer
	s, err := New(FormatText, &b, Options{Lines: true})
	if err != nil {
		t.Fatal(err)
	}
	line := func(index int) probe.Exhibit {
		return probe.Exhibit{Kind: probe.ExhibitEndpoint, Index: index, Value: peer{Address: fmt.Sprint("peer-", index)}}
	}
	for i, want := range []string{"", "peer-1 peer-2", "peer-1 peer-2", "peer-1 peer-2"} {
		if err := s.Emit(line([]int{2, 1, 5, 4}[i])); err != nil {
			t.Fatal(err)
		}
		var got []string
		for word := range strings.FieldsSeq(b.String()) {
			if strings.HasPrefix(word, "peer-") {
				got = append(got, word)
			}
		}
		if diff := cmp.Diff(want, strings.Join(got, " ")); diff != "" {
			t.Errorf("after %d lines (-want +got):\n%s", i+1, diff)
		}
	}
	// The third never comes; what waited for it is not lost.
	if err := s.Close(); err != nil || strings.Index(b.String(), "peer-4") > strings.Index(b.String(), "peer-5") {
		t.Errorf("at the end (%v):\n%s", err, &b)
	}
}

func TestLinesTellOfALostReader(t *testing.T) {
	s, err := New(FormatText, broken{}, Options{Lines: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Emit(exhibited(1)[1]); !errors.Is(err, errBroken) {
		t.Errorf("Emit: %v", err)
	}
}

var errBroken = errors.New("pipe closed")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }
