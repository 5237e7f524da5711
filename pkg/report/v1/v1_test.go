// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

var at = time.Date(2026, 8, 22, 12, 0, 0, 123456789, time.UTC)

func events() []probe.Event {
	clause := spec.Clause{Doc: "X509-SVID", Section: "2", Level: spec.Must}
	return []probe.Event{
		probe.RunStarted{
			Version: "0.1.0", Provider: "embedded", Profile: "istio", Started: at,
			Clusters: []probe.ClusterFacts{{Name: "east", Network: "n1", TrustDomain: "cluster.local"}},
			Planned:  []probe.Planned{{ID: "trust/shared-root", Title: "all clusters share one root"}},
		},
		probe.FindingDone{Finding: probe.Finding{
			Status: probe.Fail, Cause: probe.Cause{Code: "root-mismatch-same-dn", Title: "equal names, different keys"},
			Evidence: []probe.Evidence{
				{Kind: probe.KindChain, Label: "west <gateway>", Want: "a & b", Got: "\"c\"\n\t\x00\u2028"},
				{Kind: probe.KindText, Label: "bare", Got: ""},
			},
			Verdicts: []probe.VerifierVerdict{
				{Verifier: "go", Accepts: true},
				{Verifier: "envoy", Reason: "no anchor", Clause: "RFC 5280 §6.1"},
			},
			ID: "trust/shared-root", Title: "all clusters share one root", Suite: "trust", Subject: "east ↔ west",
			Level: spec.Must, Clause: clause, Hint: []string{"meshprobe federate apply"}, Duration: 12 * time.Millisecond, Seq: 1,
		}},
		probe.FindingDone{Finding: probe.Finding{
			Status: probe.Pending, Cause: probe.Cause{Code: "workload-stale-leaf"}, Deadline: at, Reason: "not yet",
			Evidence: []probe.Evidence{{Kind: probe.KindText, Label: "leaf", Got: "old"}},
			ID:       "identity/leaf", Suite: "identity", Subject: "east/shop/a", Hint: []string{}, Seq: 2,
			Level: spec.Should, Clause: spec.Clause{Doc: "Istio", Section: "leaf issuer", Level: spec.Should},
		}},
		probe.FindingDone{Finding: probe.Finding{
			Status: probe.Blocked, BlockedBy: "trust/shared-root east ↔ west", ID: "handshake/mtls", Suite: "handshake",
			Subject: "east/shop/a → west/shop/b", Hint: []string{}, Seq: 3,
		}},
		probe.FindingDone{Finding: probe.Finding{
			Status: probe.Skip, Reason: "missing permission: get secrets", Denied: true, ID: "ca/x", Suite: "ca",
			Subject: "east", Hint: []string{}, Seq: 4,
		}},
		probe.Exhibit{Kind: probe.ExhibitEndpoint, Subject: "10.0.0.7:15443", Index: 1, Value: json.RawMessage(`{"outcome":"<refused>"}`)},
		probe.Exhibit{Kind: probe.ExhibitDocument, Subject: "root.pem", Index: 2, Value: json.RawMessage(`{"kind":"bundle"}`)},
		probe.RunDone{
			Verdict: probe.Nonconformant, Unknown: 1, Ended: at.Add(time.Second), Duration: time.Second,
			Counts: map[probe.Status]int{
				probe.Pass: 0, probe.Fail: 1, probe.Warn: 0, probe.Note: 0,
				probe.Skip: 1, probe.Pending: 1, probe.Blocked: 1, probe.Broken: 0,
			},
		},
	}
}

func lines(events []probe.Event) []byte {
	var b []byte
	for _, e := range events {
		switch e := e.(type) {
		case probe.RunStarted:
			b = RunOf(e).AppendLine(b)
		case probe.FindingDone:
			b = new(FindingOf(e.Finding)).AppendLine(b)
		case probe.Exhibit:
			b = new(exhibitOf(e)).AppendLine(b)
		case probe.RunDone:
			b = DoneOf(e).AppendLine(b)
		}
	}
	return b
}

func exhibitOf(e probe.Exhibit) Exhibit {
	x, err := ExhibitOf(e)
	if err != nil {
		panic(err)
	}
	return x
}

func TestExhibitOfRefuses(t *testing.T) {
	for name, e := range map[string]probe.Exhibit{
		"unknown kind": {Kind: "painting", Value: 1},
		"no JSON":      {Kind: probe.ExhibitDocument, Value: func() {}},
	} {
		if _, err := ExhibitOf(e); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	want := events()
	dec := NewDecoder(bytes.NewReader(lines(want)))
	var got []probe.Event
	for {
		e, err := dec.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events differ after a round trip (-want +got):\n%s", diff)
	}
}

// The hand-written encoder must stay what encoding/json and the tags say.
func TestAppendIsEncodingJSON(t *testing.T) {
	for _, e := range events() {
		var got []byte
		var v any
		switch e := e.(type) {
		case probe.RunStarted:
			r := RunOf(e)
			got, v = r.AppendJSON(nil), r
		case probe.FindingDone:
			f := FindingOf(e.Finding)
			got, v = f.AppendJSON(nil), f
		case probe.Exhibit:
			x := exhibitOf(e)
			got, v = bytes.TrimSpace(x.AppendLine(nil)), x
		default:
			continue
		}
		if diff := cmp.Diff(marshal(t, v), string(got)); diff != "" {
			t.Errorf("%T (-encoding/json +AppendJSON):\n%s", e, diff)
		}
	}
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// The names are a contract with programs outside this repository.
func TestFieldNames(t *testing.T) {
	full := FindingOf(events()[1].(probe.FindingDone).Finding)
	full.BlockedBy, full.Reason, full.Denied, full.Deadline = "x", "x", true, &at
	var fields map[string]any
	if err := json.Unmarshal(full.AppendJSON(nil), &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"id", "title", "subject", "status", "cause", "causeTitle", "level", "clause", "evidence",
		"hint", "blockedBy", "duration_ms", "verdicts", "reason", "deadline", "denied", "seq",
	} {
		if _, ok := fields[name]; !ok {
			t.Errorf("a finding has no field %q", name)
		}
		delete(fields, name)
	}
	for name := range fields {
		t.Errorf("field %q is not in the contract that this test holds", name)
	}
}

func TestEmptyListsAreNotNull(t *testing.T) {
	f := FindingOf(probe.Finding{ID: "a/b", Status: probe.Pass})
	got := string(f.AppendJSON(nil))
	want := `{"id":"a/b","title":"","subject":"","status":"pass","evidence":[],"hint":[],"duration_ms":0}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDecoderRefuses(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"no-json":        {"{", "v1: line 1:"},
		"unknown-event":  {`{"event":"finding","status":"pass"}` + "\n" + `{"event":"later"}`, `v1: line 2: unknown event "later"`},
		"unknown-status": {`{"event":"finding","id":"a/b","status":"fine"}`, `unknown status "fine"`},
		"unknown-level":  {`{"event":"finding","id":"a/b","status":"pass","level":"maybe"}`, `unknown level "maybe"`},
		"unknown-count":  {`{"event":"done","counts":{"fine":1}}`, `unknown status "fine"`},
		"no-value":       {`{"event":"endpoint","subject":"a"}`, "no value"},
		"other-schema":   {`{"event":"run","schema":"meshprobe/v2"}`, `schema "meshprobe/v2"`},
	} {
		t.Run(name, func(t *testing.T) {
			dec := NewDecoder(strings.NewReader(c.in))
			var err error
			for err == nil {
				_, err = dec.Next()
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "plain", "→ \x1b[31m", "\xff\xfe", "\u2028\u2029", "\"\\\b\f\n\r\t\x00\x7f", "<&>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if diff := cmp.Diff(marshal(t, s), string(appendString(nil, s))); diff != "" {
			t.Errorf("(-encoding/json +appendString):\n%s", diff)
		}
	})
}

func FuzzDecoder(f *testing.F) {
	f.Add(lines(events()))
	f.Fuzz(func(t *testing.T, in []byte) {
		dec := NewDecoder(bytes.NewReader(in))
		for {
			e, err := dec.Next()
			if err != nil {
				return
			}
			if got, ok := e.(probe.FindingDone); ok && got.Finding.Status == 0 {
				t.Errorf("a finding without a status: %q", in)
			}
		}
	})
}
