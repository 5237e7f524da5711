// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// The files of a record directory.
const (
	recordRunFile          = "run.json"
	recordObservationsFile = "observations.jsonl"
)

// Recorder writes the observations of a run to a directory, from which Replay
// judges them again. A nil *Recorder records nothing.
type Recorder struct {
	dir  string
	file *os.File
	buf  *bufio.Writer
}

// NewRecorder prepares a directory: it is made where missing, and must be
// empty otherwise. The error names the directory.
func NewRecorder(dir string) (*Recorder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("probe: record: %w", err)
	}
	if entries, err := os.ReadDir(dir); err != nil {
		return nil, fmt.Errorf("probe: record: %w", err)
	} else if len(entries) > 0 {
		return nil, fmt.Errorf("probe: record: %s is not empty", dir)
	}
	f, err := os.OpenFile(filepath.Join(dir, recordObservationsFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("probe: record: %w", err)
	}
	return &Recorder{dir: dir, file: f, buf: bufio.NewWriter(f)}, nil
}

// observed is one observation as the runner made it.
type observed struct {
	name    string
	subject Subject
	value   any
	err     error
	none    bool // the topology has no such subject
}

// line is an observation in a record.
type line struct {
	Observation string          `json:"observation"`
	Subject     string          `json:"subject"`
	Parts       []string        `json:"parts"`
	Serves      string          `json:"serves,omitempty"` // of a workload: its service
	Value       json.RawMessage `json:"value,omitempty"`
	Error       string          `json:"error,omitempty"`
	Denied      string          `json:"denied,omitempty"`
	None        bool            `json:"none,omitempty"` // there was nothing to observe
}

func (r *Recorder) start(s RunStarted) error {
	if r == nil {
		return nil
	}
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("probe: record: %w", err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, recordRunFile), append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("probe: record: %w", err)
	}
	return nil
}

func (r *Recorder) observation(o observed) error {
	if r == nil || o.name == "" {
		return nil
	}
	l := line{Observation: o.name, None: o.none}
	if !o.none {
		l.Subject, l.Parts, l.Serves = o.subject.String(), o.subject.Parts(), serves(o.subject)
	}
	if o.err != nil {
		l.Error = unobserved(o.err).Reason
		if denied, ok := errors.AsType[*DeniedError](o.err); ok {
			l.Denied = denied.What
		}
	} else if o.value != nil { // nil: every judge was blocked
		raw, err := json.Marshal(o.value)
		if err != nil {
			return fmt.Errorf("probe: record %s: %w", o.name, err)
		}
		l.Value = raw
	}
	data, err := json.Marshal(l)
	if err == nil {
		_, err = r.buf.Write(append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("probe: record: %w", err)
	}
	return nil
}

func (r *Recorder) finish() error {
	if r == nil {
		return nil
	}
	if err := errors.Join(r.buf.Flush(), r.file.Close()); err != nil {
		return fmt.Errorf("probe: record: %w", err)
	}
	return nil
}
