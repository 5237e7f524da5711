// SPDX-License-Identifier: Apache-2.0

package report

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	v1 "github.com/meshprobe/meshprobe/pkg/report/v1"
)

// maxConformance bounds a conformance report that is read.
const maxConformance = 4 << 20

// ReadConformance reads a conformance report. It is strict: a field that the
// schema does not know, a second document and another schema are errors, which
// name the line where YAML has one.
func ReadConformance(r io.Reader) (v1.Conformance, error) {
	var c v1.Conformance
	dec := yaml.NewDecoder(io.LimitReader(r, maxConformance))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return c, fmt.Errorf("report: conformance report: %w", err)
	}
	if c.Schema != v1.ConformanceSchema {
		return c, fmt.Errorf("report: conformance report: schema is %q, want %q", c.Schema, v1.ConformanceSchema)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return c, errors.New("report: conformance report: more than one document")
	}
	return c, nil
}

// VerifyConformance says what is wrong with a conformance report, measured at
// all the probes of its profile: facts that are missing, probes that are unknown,
// left out, listed twice or under the wrong obligation, and sums, results and
// verdicts that do not follow from what stands below them. An empty answer
// means that the report agrees with itself and hides nothing; whether it is true
// only a record can show.
func VerifyConformance(c v1.Conformance, all []probe.Probe) []string {
	v := &verification{c: c}
	v.facts()
	v.part("core", c.Core)
	v.part("extended", c.Extended)
	v.complete(all)
	v.verdict()
	return v.problems
}

type verification struct {
	c        v1.Conformance
	missing  bool // a core probe is
	problems []string
}

func (v *verification) say(format string, args ...any) {
	v.problems = append(v.problems, fmt.Sprintf(format, args...))
}

func (v *verification) facts() {
	for name, value := range map[string]string{
		"tool.name": v.c.Tool.Name, "tool.version": v.c.Tool.Version, "provider": v.c.Provider,
		"implementation.name": v.c.Implementation.Name, "implementation.version": v.c.Implementation.Version,
	} {
		if value == "" {
			v.say("%s is empty", name)
		}
	}
	slices.Sort(v.problems)
	if v.c.Date.IsZero() {
		v.say("date is missing")
	}
	if len(v.c.Topology.Clusters) < 2 {
		v.say("topology.clusters has %d of the two clusters that trust needs", len(v.c.Topology.Clusters))
	}
	if v.c.Provider == "embedded" {
		v.say("provider is embedded: that is meshprobe's own model of a mesh, not an implementation")
	}
}

// part checks one part against itself.
func (v *verification) part(name string, p v1.ConfPart) {
	want := part(p.Probes)
	if p.Result != want.Result {
		v.say("%s.result is %q, its probes say %q", name, p.Result, want.Result)
	}
	if !maps.Equal(p.Statistics, want.Statistics) {
		v.say("%s.statistics are %v, its probes add up to %v", name, p.Statistics, want.Statistics)
	}
	for _, one := range p.Probes {
		v.probe(one)
	}
}

func (v *verification) probe(p v1.ConfProbe) {
	for status, n := range p.Counts {
		if !slices.Contains(graveness(), status) || n < 1 {
			v.say("%s: counts.%s is %d", p.ID, status, n)
		}
	}
	if want := gravest(p.Counts); p.Result != want {
		v.say("%s: result is %q, its counts say %q", p.ID, p.Result, want)
	}
	if p.Counts[probe.Fail.String()] > 0 && len(p.Causes) == 0 {
		v.say("%s fails without a cause", p.ID)
	}
	if p.Denied > p.Counts[probe.Skip.String()] {
		v.say("%s: denied is %d of %d skips", p.ID, p.Denied, p.Counts[probe.Skip.String()])
	}
}

// complete compares the probes of the report with those of the profile.
func (v *verification) complete(all []probe.Probe) {
	profile, err := probe.ParseProfile(v.c.Profile)
	if err != nil {
		v.say("profile %q is unknown", v.c.Profile)
		return
	}
	plan, err := probe.Select(all, probe.Selection{Profile: profile})
	if err != nil {
		v.say("%v", err)
		return
	}
	listed := map[string]string{}
	for part, probes := range map[string][]v1.ConfProbe{"core": v.c.Core.Probes, "extended": v.c.Extended.Probes} {
		for _, p := range probes {
			if listed[p.ID] != "" {
				v.say("%s is listed twice", p.ID)
			}
			listed[p.ID] = part
		}
	}
	for _, p := range plan.Probes {
		want := "core"
		if p.Clause.Level == spec.Should || p.Clause.Level == spec.May {
			want = "extended"
		}
		switch got := listed[p.ID]; got {
		case want:
		case "":
			v.missing = v.missing || want == "core"
			v.say("%s is missing", p.ID)
		default:
			v.say("%s is listed as %s, it is %s", p.ID, got, want)
		}
		delete(listed, p.ID)
	}
	for _, id := range slices.Sorted(maps.Keys(listed)) {
		v.say("%s is no probe of profile %s", id, profile.Name)
	}
}

// verdict checks what the report says above all. Inconclusive is always honest:
// an interrupt leaves no trace below it.
func (v *verification) verdict() {
	has := func(s probe.Status) bool {
		return v.c.Core.Statistics[s.String()]+v.c.Extended.Statistics[s.String()] > 0
	}
	denied := v.c.Core.Result == resultPartial || v.c.Extended.Result == resultPartial
	why := ""
	switch probe.Verdict(v.c.Verdict) {
	case probe.Conformant:
		switch {
		case v.missing:
			why = "core probes are missing"
		case denied && !has(probe.Pending):
			why = "permissions were missing"
		case has(probe.Fail), has(probe.Broken):
			why = "there are findings that fail or are broken"
		}
	case probe.Partial:
		if has(probe.Fail) || has(probe.Broken) {
			why = "there are findings that fail or are broken"
		}
	case probe.Nonconformant:
		if !has(probe.Fail) && !has(probe.Warn) {
			why = "nothing fails"
		}
	case probe.Inconclusive:
	default:
		why = "there is no such verdict"
	}
	if why != "" {
		v.say("verdict is %q, but %s", v.c.Verdict, why)
	}
}
