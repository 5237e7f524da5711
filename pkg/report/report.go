// SPDX-License-Identifier: Apache-2.0

// Package report turns the events of a run into what people and machines
// read: text, JSON, JSON lines and JUnit XML.
//
// Every reporter is a probe.Sink made by [New] or, for a file that appears
// only when it is complete, by [File]. [Tee] feeds several of them, [Ordered]
// puts findings into plan order, [Progress] entertains a person who waits.
//
// Reporters stream: none holds all findings. What must come before the
// findings but is known only after them (the duration in JSON, the counts of
// a JUnit test suite) is solved by a spool with a fixed amount of memory and
// a temporary file behind it; the text reporter keeps one block per probe and
// cause, and counts the rest. Only Ordered buffers.
//
// What findings say may come from a hostile peer. Text neutralises control
// characters, JUnit stays well-formed, nothing is interpreted.
package report

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/agext/levenshtein"

	"github.com/meshprobe/meshprobe/pkg/probe"
	v1 "github.com/meshprobe/meshprobe/pkg/report/v1"
)

// Options say how a report looks. The zero value is fit for a pipe.
type Options struct {
	Width   int      // columns of text; 0 means 100, less than 60 means 60
	Color   bool     // the caller decides, by terminal and NO_COLOR
	Version string   // of meshprobe, where the run does not say
	Files   []string // other reports that are written, named at the end of text
	TempDir string   // for what does not fit in memory; empty means os.TempDir

	// Lines makes text write one line per exhibit, in the order of the input and
	// as soon as that allows, in place of pages: for thousands of them.
	Lines bool

	// Implementation is what a conformance report says was tested.
	Implementation v1.Implementation

	lazy bool // nobody reads along
}

// The formats that New knows.
const (
	FormatText  = "text"
	FormatJSON  = "json"
	FormatJSONL = "jsonl"
	FormatJUnit = "junit"
)

// Formats lists what New knows, the default first.
func Formats() []string { return []string{FormatText, FormatJSON, FormatJSONL, FormatJUnit} }

// FormatError says that a format is unknown: a usage error.
type FormatError struct {
	Format  string
	Nearest string // a known format that looks alike, or empty
}

// Error names the format and what would have been right.
func (e *FormatError) Error() string {
	msg := fmt.Sprintf("report: unknown format %q", e.Format)
	if e.Nearest != "" {
		return msg + fmt.Sprintf(", did you mean %q", e.Nearest)
	}
	return msg + "; known are " + strings.Join(Formats(), ", ")
}

// New makes a reporter that writes to w. It never closes w. An error is a
// *FormatError.
func New(format string, w io.Writer, opts Options) (probe.Sink, error) {
	s, err := reporter(format, w, opts)
	if err != nil {
		return nil, err
	}
	return &named{sink: s, format: format}, nil
}

// reporter makes the sink itself; its errors name no package yet.
func reporter(format string, w io.Writer, opts Options) (probe.Sink, error) {
	switch format {
	case FormatText:
		return newText(w, opts), nil
	case FormatJSON:
		return newJSON(w, opts), nil
	case FormatJSONL:
		return newJSONL(w, opts), nil
	case FormatJUnit:
		return newJUnit(w, opts), nil
	case FormatConformance:
		return newConformance(w, opts), nil
	}
	return nil, &FormatError{Format: format, Nearest: nearest(format)}
}

// named says whose error it is.
type named struct {
	sink   probe.Sink
	format string
}

var _ probe.Sink = (*named)(nil)

func (n *named) Emit(e probe.Event) error { return n.wrap(n.sink.Emit(e)) }
func (n *named) Close() error             { return n.wrap(n.sink.Close()) }

func (n *named) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("report: write %s: %w", n.format, err)
}

func nearest(format string) string {
	best := slices.MinFunc(Formats(), func(a, b string) int {
		return levenshtein.Distance(format, a, nil) - levenshtein.Distance(format, b, nil)
	})
	if levenshtein.Distance(strings.ToLower(format), best, nil) > len(best)/2 {
		return ""
	}
	return best
}
