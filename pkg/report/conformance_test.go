// SPDX-License-Identifier: Apache-2.0

package report

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	v1 "github.com/meshprobe/meshprobe/pkg/report/v1"
)

var implementation = v1.Implementation{Name: "Example Mesh", Version: "2.1.0", Organization: "Example", URL: "https://mesh.example", Contact: []string{"mesh@mesh.example"}}

func TestConformanceGolden(t *testing.T) {
	for _, run := range []string{"healthy", "broken-federation"} {
		t.Run(run, func(t *testing.T) {
			got := render(t, FormatConformance, Options{Version: "test", Implementation: implementation}, recorded(t, run))
			golden(t, run+".conformance.yaml", got)
			if _, err := ReadConformance(strings.NewReader(got)); err != nil {
				t.Error(err)
			}
		})
	}
}

// probesOf are two probes of the default profile, and what a run of them says.
func probesOf(t *testing.T) []probe.Probe {
	t.Helper()
	define := func(id string, c spec.Clause) probe.Probe {
		return probe.Define(probe.Meta{ID: id, Title: id, Clause: c}, probe.WholeMesh, nil, func(int) []probe.Finding { return nil })
	}
	probes := []probe.Probe{define("trust/a", spec.Clause{Level: spec.Must}), define("trust/b", spec.Clause{Level: spec.Should})}
	if _, err := probe.Select(probes, probe.Selection{Profile: probe.Istio}); err != nil {
		t.Fatal(err)
	}
	return probes
}

const honest = `schema: meshprobe-conformance/v1
date: 2026-01-02T03:04:05Z
tool: {name: meshprobe, version: v1.0.0}
implementation: {name: Example Mesh, version: 2.1.0}
provider: live
profile: istio
topology:
  clusters:
    - {name: east, network: n1, trustDomain: cluster.local}
    - {name: west, network: n2, trustDomain: cluster.local}
  edges: []
core:
  result: success
  statistics: {pass: 2}
  probes:
    - {id: trust/a, result: pass, counts: {pass: 2}}
extended:
  result: success
  statistics: {warn: 1, pass: 1}
  probes:
    - {id: trust/b, result: warn, counts: {pass: 1, warn: 1}, causes: [some-cause]}
verdict: conformant
`

func TestVerifyConformance(t *testing.T) {
	for name, test := range map[string]struct {
		from, to string
		want     []string
	}{
		"honest":      {},
		"no version":  {"version: 2.1.0", "version: ''", []string{"implementation.version is empty"}},
		"embedded":    {"provider: live", "provider: embedded", []string{"provider is embedded: that is meshprobe's own model of a mesh, not an implementation"}},
		"one cluster": {"    - {name: west, network: n2, trustDomain: cluster.local}\n", "", []string{"topology.clusters has 1 of the two clusters that trust needs"}},
		"wrong sum":   {"statistics: {pass: 2}", "statistics: {pass: 3}", []string{"core.statistics are map[pass:3], its probes add up to map[pass:2]"}},
		"wrong probe result": {"result: warn, counts", "result: pass, counts", []string{
			`trust/b: result is "pass", its counts say "warn"`,
		}},
		"hidden failure": {"result: pass, counts: {pass: 2}", "result: pass, counts: {pass: 1, fail: 1}", []string{
			"core.statistics are map[pass:2], its probes add up to map[fail:1 pass:1]",
			`trust/a: result is "pass", its counts say "fail"`,
			"trust/a fails without a cause",
		}},
		"wrong verdict":   {"verdict: conformant", "verdict: nonconformant-ish", []string{`verdict is "nonconformant-ish", but there is no such verdict`}},
		"strict":          {"verdict: conformant", "verdict: nonconformant", nil},
		"unknown probe":   {"id: trust/b", "id: trust/c", []string{"trust/b is missing", "trust/c is no probe of profile istio"}},
		"missing core":    {"id: trust/a", "id: trust/b", []string{"trust/b is listed twice", "trust/a is missing", `verdict is "conformant", but core probes are missing`}},
		"unknown profile": {"profile: istio", "profile: other", []string{`profile "other" is unknown`}},
		"odd count":       {"counts: {pass: 1, warn: 1}", "counts: {pass: 1, warn: 1, fine: 3}", []string{"extended.statistics are map[pass:1 warn:1], its probes add up to map[fine:3 pass:1 warn:1]", "trust/b: counts.fine is 3"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := honest
			if test.from != "" {
				if !strings.Contains(text, test.from) {
					t.Fatalf("the report does not hold %q", test.from)
				}
				text = strings.Replace(text, test.from, test.to, 1)
			}
			c, err := ReadConformance(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range VerifyConformance(c, probesOf(t)) {
				if !strings.Contains(p, "listed as") { // of a probe that is listed twice, either part is right
					got = append(got, p)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestReadConformanceRefuses(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"empty":         {"", "it is empty"},
		"other schema":  {"schema: meshprobe/v1\n", `schema is "meshprobe/v1"`},
		"unknown field": {honest + "verdicts: []\n", "line 23: field verdicts not found"},
		"two documents": {honest + "---\n{}\n", "more than one document"},
		"no YAML":       {"\t{{{", "yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadConformance(strings.NewReader(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

func FuzzReadConformance(f *testing.F) {
	f.Add(honest)
	f.Add("schema: meshprobe-conformance/v1\ncore: {probes: [{id: a, counts: {pass: -1}}]}")
	f.Fuzz(func(_ *testing.T, text string) {
		if c, err := ReadConformance(strings.NewReader(text)); err == nil {
			VerifyConformance(c, nil)
		}
	})
}
