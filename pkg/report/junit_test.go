// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/xml"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

const junitSchema = "../../fixtures/schema/junit.xsd"

// document is what Jenkins, GitLab and GitHub reporters read of JUnit XML.
type document struct {
	XMLName  xml.Name `xml:"testsuites"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Errors   int      `xml:"errors,attr"`
	Suites   []struct {
		Name     string `xml:"name,attr"`
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Skipped  int    `xml:"skipped,attr"`
		Cases    []struct {
			Name      string   `xml:"name,attr"`
			Class     string   `xml:"classname,attr"`
			Time      float64  `xml:"time,attr"`
			Failure   *outcome `xml:"failure"`
			Error     *outcome `xml:"error"`
			Skipped   *outcome `xml:"skipped"`
			SystemOut string   `xml:"system-out"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

type outcome struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Body    string `xml:",chardata"`
}

func parse(t *testing.T, raw string) document {
	t.Helper()
	var d document
	if err := xml.Unmarshal([]byte(raw), &d); err != nil {
		t.Fatalf("%v in:\n%s", err, raw)
	}
	return d
}

func validate(t *testing.T, raw string) {
	t.Helper()
	xmllint, err := exec.LookPath("xmllint")
	if err != nil {
		t.Skip("xmllint is not installed (apt-get install libxml2-utils)")
	}
	cmd := exec.CommandContext(t.Context(), xmllint, "--noout", "--schema", filepath.FromSlash(junitSchema), "-")
	cmd.Stdin = strings.NewReader(raw)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("xmllint: %v\n%s", err, out)
	}
}

func TestJUnitIsValid(t *testing.T) {
	for _, run := range runs(t) {
		t.Run(run, func(t *testing.T) {
			validate(t, render(t, FormatJUnit, Options{}, recorded(t, run)))
		})
	}
	t.Run("empty", func(t *testing.T) {
		validate(t, render(t, FormatJUnit, Options{}, []probe.Event{probe.RunStarted{}, probe.RunDone{}}))
	})
	t.Run("hostile", func(t *testing.T) {
		validate(t, render(t, FormatJUnit, Options{}, hostile("a\x00]]>&<\r\n\t\xff\uFFFE\"")))
	})
}

// The schema must be able to say no.
func TestSchemaRefuses(t *testing.T) {
	if _, err := exec.LookPath("xmllint"); err != nil {
		t.Skip("xmllint is not installed (apt-get install libxml2-utils)")
	}
	good := render(t, FormatJUnit, Options{}, recorded(t, "broken-federation"))
	for name, swap := range map[string][2]string{
		"no-classname":   {`classname="ca" `, ``},
		"untyped":        {`<failure type="root-mismatch-same-dn"`, `<failure`},
		"zoned":          {`12:00:00"`, `12:00:00Z"`},
		"negative-count": {`failures="0"`, `failures="-1"`},
	} {
		t.Run(name, func(t *testing.T) {
			bad := strings.Replace(good, swap[0], swap[1], 1)
			if bad == good {
				t.Fatalf("%q is not in the report", swap[0])
			}
			cmd := exec.CommandContext(t.Context(), "xmllint", "--noout", "--schema", junitSchema, "-")
			cmd.Stdin = strings.NewReader(bad)
			if err := cmd.Run(); err == nil {
				t.Error("the schema accepts it")
			}
		})
	}
}

// Each status becomes what CI systems count it as.
func TestJUnitOutcomes(t *testing.T) {
	events := recorded(t, "broken-federation")
	n := events[len(events)-1].(probe.RunDone).Counts
	want := map[string]int{
		"pass": n[probe.Pass], "failure": n[probe.Fail], "error": n[probe.Broken],
		"skipped": n[probe.Skip] + n[probe.Pending] + n[probe.Blocked], "told": n[probe.Warn] + n[probe.Note],
	}
	for what, count := range want {
		if count == 0 {
			t.Errorf("the run has no %s to look at", what)
		}
	}
	d := parse(t, render(t, FormatJUnit, Options{}, events))
	got := map[string]int{}
	sum := 0
	for _, suite := range d.Suites {
		n := map[string]int{}
		for _, c := range suite.Cases {
			what := "pass"
			switch {
			case c.Failure != nil:
				what = "failure"
			case c.Error != nil:
				what = "error"
			case c.Skipped != nil:
				what = "skipped"
			case c.SystemOut != "":
				what = "told"
			}
			n[what]++
			got[what]++
			if c.Class != strings.SplitN(suite.Name, " ", 2)[0] {
				t.Errorf("%s is in suite %q with class %q", c.Name, suite.Name, c.Class)
			}
		}
		want := [4]int{len(suite.Cases), n["failure"], n["error"], n["skipped"]}
		if have := [4]int{suite.Tests, suite.Failures, suite.Errors, suite.Skipped}; have != want {
			t.Errorf("%s counts %v, holds %v", suite.Name, have, want)
		}
		sum += suite.Tests
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([3]int{sum, want["failure"], want["error"]}, [3]int{d.Tests, d.Failures, d.Errors}); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
}

// Suites name the places that subjects have in common, also where the names
// of clusters hold slashes.
func TestGroups(t *testing.T) {
	p := placesOf([]probe.ClusterFacts{{Name: "east"}, {Name: "west"}, {Name: "arn:aws/eks/one"}})
	for subject, want := range map[string]string{
		"mesh":                           "mesh",
		"east":                           "east",
		"east/shop/cart":                 "east",
		"east ↔ west":                    "east ↔ west",
		"east → west":                    "east → west",
		"east/shop/cart → west/shop/pay": "east → west",
		"east/shop/cart → east/shop/pay": "east",
		"arn:aws/eks/one":                "arn:aws/eks/one",
		"arn:aws/eks/one/shop/cart → west/shop/pay":   "arn:aws/eks/one → west",
		"other/ctx/shop/cart → arn:aws/eks/one/a/pay": "other/ctx → arn:aws/eks/one",
		"": "",
	} {
		if got := p.group(subject); got != want {
			t.Errorf("group(%q) = %q, want %q", subject, got, want)
		}
	}
}

// Equal names would be one test to GitLab.
func TestTwinsGetNumbers(t *testing.T) {
	f := probe.Finding{ID: "a/b", Subject: "east", Status: probe.Pass}
	d := parse(t, render(t, FormatJUnit, Options{}, []probe.Event{
		probe.FindingDone{Finding: f}, probe.FindingDone{Finding: f}, probe.FindingDone{Finding: f},
	}))
	var names []string
	for _, c := range d.Suites[0].Cases {
		names = append(names, c.Name)
	}
	if diff := cmp.Diff([]string{"a/b east", "a/b east #2", "a/b east #3"}, names); diff != "" {
		t.Error(diff)
	}
}

// hostile is a run whose every text comes from a peer that means no good.
func hostile(s string) []probe.Event {
	finding := func(st probe.Status) probe.Event {
		return probe.FindingDone{Finding: probe.Finding{
			Status: st, Cause: probe.Cause{Code: "c" + s, Title: s}, Reason: s, BlockedBy: "x" + s,
			Evidence: []probe.Evidence{{Kind: probe.KindText, Label: s, Want: s, Got: s}, {Label: s, Got: s}},
			Verdicts: []probe.VerifierVerdict{{Verifier: s, Reason: s, Clause: s}},
			ID:       "x/" + s, Suite: "x", Title: s, Subject: "a/" + s + " → b", Hint: []string{s},
		}}
	}
	events := []probe.Event{probe.RunStarted{
		Version: s, Provider: s, Profile: s, Clusters: []probe.ClusterFacts{{Name: "n" + s, Network: s, TrustDomain: s}},
		Planned: []probe.Planned{{ID: "x/" + s, Title: s}},
	}}
	for _, st := range probe.Statuses() {
		events = append(events, finding(st))
	}
	return append(events, finding(0), probe.RunDone{Verdict: probe.Nonconformant, Counts: map[probe.Status]int{probe.Fail: 1}})
}

func FuzzJUnit(f *testing.F) {
	for _, s := range []string{"", "plain", "\x00\x1b[2J", "]]>", "<&>\"'", "\xff\xc0", "\uFFFE\uFFFF\u0085\u2028", "\r\n\t", "\ud7ff\U0010ffff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		raw := render(t, FormatJUnit, Options{}, hostile(s))
		if !utf8.ValidString(raw) {
			t.Fatalf("invalid UTF-8 from %q", s)
		}
		d := parse(t, raw)
		if got, want := d.Tests, len(probe.Statuses())+1; got != want {
			t.Errorf("%d tests, want %d, from %q", got, want, s)
		}
	})
}
