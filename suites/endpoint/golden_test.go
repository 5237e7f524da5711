// SPDX-License-Identifier: Apache-2.0

package endpoint_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/fixtures"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/probetest"
	"github.com/meshprobe/meshprobe/pkg/report"
	"github.com/meshprobe/meshprobe/suites/endpoint"
	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
)

// situation is a fixture of one probe, reported with all of them.
type situation struct{ probe, fixture string }

func situations() []situation {
	return []situation{
		{"tcp", "port-closed"},
		{"tcp", "gateway-down"},
		{"tcp", "unresolvable"},
		{"protocol", "http"},
		{"protocol", "silence"},
		{"protocol", "gateway-without-name"},
		{"tls", "version"},
		{"tls", "alpn-dropped"},
		{"tls", "stalled"},
		{"client-certificate", "not-asked-tls"},
		{"client-certificate", "application"},
		{"accepted", "healthy"},
		{"accepted", "no-certificate"},
		{"accepted", "root-of-the-name"},
		{"accepted", "other-root"},
		{"accepted", "leaf-expired"},
		{"accepted", "other-trust-domain-sidecar"},
		{"accepted", "closed"},
		{"accepted", "unparsable"},
		{"accepted", "foreign-refused"},
		{"accepted", "foreign-uncontrolled"},
		{"accepted", "foreign-and-own-refused"},
		{"accepted", "foreign-closed"},
		{"accepted", "foreign-accepted"},
		{"inner-accepted", "closed"},
		{"chain", "root-sent"},
		{"chain", "root-twice"},
		{"chain", "wrong-intermediate"},
		{"trust", "no-bundle"},
		{"trust", "root-same-dn-not-sent"},
		{"trust", "intermediate-not-sent"},
		{"trust", "leaf-is-ca"},
		{"identity", "other-gateway"},
		{"inner-identity", "waypoint"},
		{"connect", "denied-expected"},
		{"connect", "no-service"},
		{"connect", "reset"},
		{"inner-connect", "dead"},
		{"tunnel", "reset"},
		{"tunnel", "reset-later"},
		{"expectation", "other-alert"},
		{"expectation", "accepted-instead"},
	}
}

// observed is the observation of a situation.
func (s situation) observed(t *testing.T) []byte {
	t.Helper()
	for _, p := range endpoint.Probes() {
		if p.ID != "endpoint/"+s.probe {
			continue
		}
		for _, f := range probetest.Fixtures(t, p, fixtures.FS) {
			if f.Name == s.fixture {
				return f.Observation(t, p, fixtures.FS)
			}
		}
	}
	t.Fatalf("no fixture %s of %s", s.fixture, s.probe)
	return nil
}

// told is the report of one observation, replayed as from a record.
func told(t *testing.T, raw []byte, format string, opts report.Options) string {
	t.Helper()
	var m endpoint.Met
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	plan, err := probe.Select(endpoint.For(m.Kind, m.Asked.Expect != nil), probe.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		t.Fatal(err)
	}
	line, err := json.Marshal(map[string]any{
		"observation": "endpoint", "subject": m.Address, "parts": []string{m.Address}, "value": json.RawMessage(compact.Bytes()),
	})
	if err != nil {
		t.Fatal(err)
	}
	record, err := probe.ReadRecord(fstest.MapFS{
		"run.json":           {Data: []byte(`{"Version":"devel","Provider":"probe ` + string(m.Kind) + `","Started":"2026-06-01T12:00:00Z"}`)},
		"observations.jsonl": {Data: line},
	})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	sink, err := report.New(format, &out, opts)
	if err != nil {
		t.Fatal(err)
	}
	sink = report.Ordered(sink)
	runner := &probe.Runner{Sink: sink, Now: fixtures.PKITime}
	if _, err := runner.Replay(t.Context(), record, plan); err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if probetest.Update() {
		if err := os.MkdirAll("testdata", 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), -args -update rewrites it:\n%s", path, diff)
	}
}

// TestText holds what a person reads of each situation. Nothing in a pipe is a
// control character.
func TestText(t *testing.T) {
	for _, s := range situations() {
		t.Run(s.probe+"/"+s.fixture, func(t *testing.T) {
			got := told(t, s.observed(t), report.FormatText, report.Options{})
			if i := strings.IndexFunc(got, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }); i >= 0 {
				t.Errorf("a control character at %q", got[i:min(len(got), i+20)])
			}
			golden(t, s.probe+"."+s.fixture+".txt", got)
		})
	}
}

// TestLines holds the same in one line each.
func TestLines(t *testing.T) {
	var b strings.Builder
	for _, s := range situations() {
		var m endpoint.Met
		if err := json.Unmarshal(s.observed(t), &m); err != nil {
			t.Fatal(err)
		}
		line := m.Line()
		if strings.Contains(line, "\n") {
			t.Errorf("%s/%s: more than one line: %q", s.probe, s.fixture, line)
		}
		b.WriteString(line + "\n")
	}
	golden(t, "lines.txt", b.String())
}

// TestColors holds the colours of one success and one failure.
func TestColors(t *testing.T) {
	for _, s := range []situation{{"accepted", "healthy"}, {"accepted", "root-of-the-name"}} {
		golden(t, s.probe+"."+s.fixture+".color.txt", told(t, s.observed(t), report.FormatText, report.Options{Color: true, Width: 80}))
	}
}

// TestJSON holds the object that programs read.
func TestJSON(t *testing.T) {
	golden(t, "accepted.healthy.json", told(t, situation{"accepted", "healthy"}.observed(t), report.FormatJSON, report.Options{}))
}

// TestHostile lets a peer say what would change a terminal, in every place
// where it can say something.
func TestHostile(t *testing.T) {
	const evil = "\x1b[2Jevil\r\u202e\u0007"
	m := endpoint.Met{Seen: wire.Seen{
		At: fixtures.PKITime(), Kind: wire.TLS, Address: "10.0.3.7:443", TCP: wire.TCP{Outcome: wire.TCPConnected, Resolved: []string{evil}},
		Answer: wire.Answer{Protocol: wire.ProtocolHTTP, Line: evil, Server: evil},
		Layer:  &wire.Layer{Messages: []string{evil}, Unparsable: evil, Certificates: []wire.Certificate{{Error: evil, Subject: evil, DNS: []string{evil}}}},
	}}
	m.Layer.Outcome, m.Layer.Chain, m.Layer.Error, m.Layer.Authorities = "unclear", [][]byte{[]byte(evil)}, evil, []string{evil}
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, protocol := range []string{`"http/1"`, `"tls"`} {
		raw := bytes.Replace(raw, []byte(`"http/1"`), []byte(protocol), 1)
		for _, opts := range []report.Options{{}, {Lines: true}} {
			if got := told(t, raw, report.FormatText, opts); strings.ContainsAny(got, "\x1b\r\a\u202e") || !strings.Contains(got, "evil") {
				t.Errorf("%s: %q", protocol, got)
			}
		}
	}
}
