// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

// junitSink writes JUnit XML as Jenkins, GitLab and GitHub reporters read it:
// one testsuite per suite and group of subjects, one testcase per finding.
// The counts stand in front of the cases, so cases wait in a spool.
type junitSink struct {
	w      io.Writer
	spool  *spool
	run    probe.RunStarted
	places places
	suites map[suiteKey]*junitSuite
	shown  map[string][]mentioned // exhibits by group
	done   probe.RunDone
	begun  bool
	err    error
}

type suiteKey struct{ suite, group string }

type junitSuite struct {
	suiteKey
	junitCounts
	cases *piece
	last  string // name of the last case
	twin  int    // how many cases before it had the same name
}

// junitCounts are the counts of a testsuite, and of all of them.
type junitCounts struct {
	tests, failures, errors, skipped int
	time                             time.Duration
}

var _ probe.Sink = (*junitSink)(nil)

func newJUnit(w io.Writer, opts Options) *junitSink {
	return &junitSink{
		w: w, spool: newSpool(opts.TempDir), suites: map[suiteKey]*junitSuite{},
		run: probe.RunStarted{Version: opts.Version}, done: probe.RunDone{Verdict: probe.Inconclusive},
	}
}

func (s *junitSink) Emit(e probe.Event) error {
	if s.err != nil {
		return s.err
	}
	switch e := e.(type) {
	case probe.RunStarted:
		e.Version = cmp.Or(e.Version, s.run.Version)
		s.run, s.places, s.begun = e, placesOf(e.Clusters), true
	case probe.Exhibit:
		s.begun = true
		s.mention(e)
	case probe.FindingDone:
		s.begun = true
		s.err = s.finding(&e.Finding)
	case probe.RunDone:
		s.done, s.begun = e, true
	}
	return s.err
}

func (s *junitSink) finding(f *probe.Finding) error {
	key := suiteKey{cmp.Or(f.Suite, suiteOf(f.ID)), s.places.group(f.Subject)}
	suite, ok := s.suites[key]
	if !ok {
		suite = &junitSuite{suiteKey: key, cases: s.spool.piece()}
		s.suites[key] = suite
	}
	suite.count(f)
	before := len(suite.cases.tail)
	suite.cases.tail = suite.appendCase(suite.cases.tail, f)
	return s.spool.grew(len(suite.cases.tail) - before)
}

func (c *junitCounts) count(f *probe.Finding) {
	c.tests++
	c.time += f.Duration
	switch f.Status {
	case probe.Fail:
		c.failures++
	case probe.Skip, probe.Pending, probe.Blocked:
		c.skipped++
	case probe.Pass, probe.Warn, probe.Note:
	default:
		c.errors++
	}
}

// Close writes the document.
func (s *junitSink) Close() error {
	if s.err == nil && s.begun {
		s.err = s.write()
	}
	return errors.Join(s.err, s.spool.close())
}

func (s *junitSink) write() error {
	out := bufio.NewWriterSize(s.w, 64<<10)
	var total junitCounts
	suites := make([]*junitSuite, 0, len(s.suites))
	for _, suite := range s.suites {
		suites = append(suites, suite)
		total.tests += suite.tests
		total.failures += suite.failures
		total.errors += suite.errors
	}
	total.time = s.done.Duration
	order := orderOf(s.run.Planned)
	slices.SortFunc(suites, func(a, b *junitSuite) int {
		return cmp.Or(order.compareSuites(a.suite, b.suite), strings.Compare(a.group, b.group))
	})
	b := []byte(`<?xml version="1.0" encoding="UTF-8"?>` + "\n<testsuites")
	b = appendAttr(b, "name", "meshprobe")
	b = append(total.appendAttrs(b), ">\n"...)
	_, _ = out.Write(b) // a bufio.Writer keeps its first error for Flush
	for _, suite := range suites {
		_, _ = out.Write(s.appendSuite(b[:0], suite))
		if err := s.spool.writeTo(out, suite.cases); err != nil {
			return err
		}
		_, _ = out.WriteString("  </testsuite>\n")
	}
	_, _ = out.WriteString("</testsuites>\n")
	return out.Flush()
}

func (s *junitSink) appendSuite(b []byte, suite *junitSuite) []byte {
	b = append(b, "  <testsuite"...)
	b = appendAttr(b, "name", suite.suite+" "+suite.group)
	b = suite.appendAttrs(b)
	b = appendAttr(b, "skipped", strconv.Itoa(suite.skipped))
	if !s.run.Started.IsZero() {
		// The Ant schema wants no zone.
		b = appendAttr(b, "timestamp", s.run.Started.UTC().Format("2006-01-02T15:04:05"))
	}
	b = append(b, ">\n    <properties>\n"...)
	b = appendProperty(b, "meshprobe.version", s.run.Version)
	b = appendProperty(b, "meshprobe.provider", s.run.Provider)
	b = appendProperty(b, "meshprobe.profile", s.run.Profile)
	b = appendProperty(b, "meshprobe.verdict", string(s.done.Verdict))
	for _, m := range s.shown[suite.group] {
		b = appendProperty(b, m.name, m.value)
	}
	for _, c := range s.clustersOf(suite.group) {
		b = appendProperty(b, "cluster."+c.Name+".network", c.Network)
		b = appendProperty(b, "cluster."+c.Name+".trustDomain", c.TrustDomain)
	}
	return append(b, "    </properties>\n"...)
}

// clustersOf are the clusters that a group of subjects lies in; all of them
// where it names none.
func (s *junitSink) clustersOf(group string) []probe.ClusterFacts {
	from, _, to := sides(group)
	var in []probe.ClusterFacts
	for _, side := range []string{from, to} {
		if c, ok := s.places[side]; ok {
			in = append(in, c)
		}
	}
	if len(in) == 0 {
		return s.run.Clusters
	}
	return in
}

func (c *junitCounts) appendAttrs(b []byte) []byte {
	b = appendAttr(b, "tests", strconv.Itoa(c.tests))
	b = appendAttr(b, "failures", strconv.Itoa(c.failures))
	b = appendAttr(b, "errors", strconv.Itoa(c.errors))
	return appendTime(b, c.time)
}

func appendProperty(b []byte, name, value string) []byte {
	b = append(b, "      <property"...)
	b = appendAttr(b, "name", name)
	return append(appendAttr(b, "value", value), "/>\n"...)
}

func appendAttr(b []byte, name, value string) []byte {
	b = append(b, ' ')
	b = append(b, name...)
	b = append(b, `="`...)
	return append(appendXML(b, value, true), '"')
}

// appendTime appends seconds with three decimals.
func appendTime(b []byte, d time.Duration) []byte {
	b = append(b, ` time="`...)
	b = strconv.AppendFloat(b, max(0, d.Seconds()), 'f', 3, 64)
	return append(b, '"')
}
