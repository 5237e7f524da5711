// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"fmt"
	"regexp"
	"strings"
)

// Error says what a mesh could not be made, found or removed for.
type Error struct {
	Cluster string   // empty: the whole mesh
	Step    string   // as in the events; empty where it is none's
	Err     error    // what happened
	Told    []string // lines of events and logs that show why, without credentials; may be empty
	Hint    []string // commands or settings that help, may be empty
}

// Error is "kind: STEP: CLUSTER: what happened", then what is told, a line each.
func (e *Error) Error() string {
	s := "kind: "
	if e.Step != "" {
		s += e.Step + ": "
	}
	if e.Cluster != "" {
		s += e.Cluster + ": "
	}
	return strings.Join(append([]string{s + e.Err.Error()}, e.Told...), "\n  ")
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hints are what a report tells beside the error.
func (e *Error) Hints() []string { return e.Hint }

// failure makes an *Error of a message.
func failure(hint, format string, args ...any) *Error {
	e := &Error{Err: fmt.Errorf(format, args...)}
	if hint != "" {
		e.Hint = []string{hint}
	}
	return e
}

// in names the place of an error, once.
func in(step, clusterName string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*Error); ok { //nolint:errorlint // an *Error deeper down has its own place
		if e.Step == "" {
			e.Step = step
		}
		if e.Cluster == "" {
			e.Cluster = clusterName
		}
		return e
	}
	return &Error{Step: step, Cluster: clusterName, Err: err, Hint: hintFor(err.Error())}
}

// credential matches what no line that is shown may hold.
var credential = regexp.MustCompile(`(?i)(-----(BEGIN|END)[A-Z ]*PRIVATE|eyJ[A-Za-z0-9_-]{8,}\.|bearer\s+\S|(token|password|passwd|secret|key-data|certificate-key|discovery-token-ca-cert-hash)["']?\s*[:=]\s*\S|--token\s+\S|[A-Za-z0-9+/]{80,}={0,2})`)

// maxLine bounds a line of somebody's log.
const maxLine = 300

// clean keeps the last lines of a log that hold no credential.
func clean(text string, lines int) []string {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(printable(line), " ")
		if line == "" || credential.MatchString(line) {
			continue
		}
		if len(line) > maxLine {
			line = strings.ToValidUTF8(line[:maxLine], "") + "…"
		}
		out = append(out, line)
	}
	return out[max(0, len(out)-lines):]
}

var escapes = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)

// printable drops what moves a terminal.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r < ' ', r == 0x7f, r >= 0x80 && r < 0xa0:
			return -1
		}
		return r
	}, escapes.ReplaceAllString(line, ""))
}
