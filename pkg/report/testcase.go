// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

// appendCase appends a finding as a testcase. A second finding of one probe
// on one subject gets a number: GitLab takes equal names for one test.
func (s *junitSuite) appendCase(b []byte, f *probe.Finding) []byte {
	name := f.ID + " " + f.Subject
	if name == s.last {
		s.twin++
	} else {
		s.last, s.twin = name, 0
	}
	b = append(b, `    <testcase classname="`...)
	b = appendXML(b, s.suite, true)
	b = append(b, `" name="`...)
	b = appendXML(b, name, true)
	if s.twin > 0 {
		b = append(b, " #"...)
		b = strconv.AppendInt(b, int64(s.twin)+1, 10)
	}
	b = append(b, '"')
	b = appendTime(b, f.Duration)
	if f.Status == probe.Pass {
		return append(b, "/>\n"...)
	}
	b = append(b, ">\n      "...)
	b = appendOutcome(b, f)
	return append(b, "\n    </testcase>\n"...)
}

func appendOutcome(b []byte, f *probe.Finding) []byte {
	switch f.Status {
	case probe.Fail:
		return appendProblem(b, "failure", cmp.Or(f.Cause.Code, probe.Unknown.Code), headline(f), f)
	case probe.Warn, probe.Note:
		b = append(b, "<system-out>"...)
		b = appendXML(b, f.Status.String()+": "+headline(f)+"\n", false)
		b = appendBody(b, f)
		return append(b, "</system-out>"...)
	case probe.Skip:
		return appendSkipped(b, f.Reason)
	case probe.Pending:
		return appendSkipped(b, "pending: "+cmp.Or(f.Reason, headline(f)))
	case probe.Blocked:
		return appendSkipped(b, "blocked by "+f.BlockedBy)
	default:
		return appendProblem(b, "error", probe.Broken.String(), cmp.Or(f.Reason, "no status"), f)
	}
}

func appendProblem(b []byte, element, kind, message string, f *probe.Finding) []byte {
	b = append(b, '<')
	b = append(b, element...)
	b = appendAttr(b, "type", kind)
	b = appendAttr(b, "message", message)
	b = append(b, '>')
	b = appendBody(b, f)
	b = append(b, "</"...)
	b = append(b, element...)
	return append(b, '>')
}

func appendSkipped(b []byte, why string) []byte {
	return append(appendAttr(append(b, "<skipped"...), "message", why), "/>"...)
}

// headline is what should hold, and why it does not.
func headline(f *probe.Finding) string {
	if f.Cause.Title == "" {
		return f.Title
	}
	return f.Title + ": " + f.Cause.Title
}

// appendBody appends evidence, hints and where to read on.
func appendBody(b []byte, f *probe.Finding) []byte {
	for _, e := range f.Evidence {
		b = appendXML(b, e.Label, false)
		b = append(b, '\n')
		if e.Want != "" {
			b = appendIndented(b, "  want  ", e.Want)
		}
		b = appendIndented(b, "  got   ", e.Got)
	}
	for _, v := range f.Verdicts {
		b = appendXML(b, verdictLine(v)+"\n", false)
	}
	for _, h := range f.Hint {
		b = appendIndented(b, "try   ", h)
	}
	if c := f.Clause.String(); c != "" {
		b = appendXML(b, "clause "+c+"\n", false)
	}
	b = append(b, "see   meshprobe explain "...)
	return append(appendXML(b, f.ID, false), '\n')
}

func appendIndented(b []byte, key, value string) []byte {
	first := true
	for line := range strings.SplitSeq(value, "\n") {
		if first {
			b = append(b, key...)
		} else {
			b = append(b, "        "[:len(key)]...)
		}
		b = append(appendXML(b, line, false), '\n')
		first = false
	}
	return b
}

func verdictLine(v probe.VerifierVerdict) string {
	line := v.Verifier + " accepts"
	if !v.Accepts {
		line = v.Verifier + " refuses"
	}
	if v.Reason != "" {
		line += ": " + v.Reason
	}
	if v.Clause != "" {
		line += " (" + v.Clause + ")"
	}
	return line
}
