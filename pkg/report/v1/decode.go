// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

// maxLine bounds one line: a finding holds a few pieces of evidence, each of
// at most 64 KiB before escaping.
const maxLine = 16 << 20

// Decoder reads the events of -o jsonl. Fields that it does not know are
// ignored, so that it reads what later versions write.
type Decoder struct {
	lines *bufio.Scanner
	n     int
}

// NewDecoder reads from r, line by line.
func NewDecoder(r io.Reader) *Decoder {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	return &Decoder{lines: lines}
}

// Next returns the next event: RunStarted, Exhibit, FindingDone or
// RunDone. It returns
// io.EOF after the last one; any other error names the line.
func (d *Decoder) Next() (probe.Event, error) {
	for d.lines.Scan() {
		d.n++
		line := bytes.TrimSpace(d.lines.Bytes())
		if len(line) == 0 {
			continue
		}
		e, err := decodeLine(line)
		if err != nil {
			return nil, fmt.Errorf("v1: line %d: %w", d.n, err)
		}
		return e, nil
	}
	if err := d.lines.Err(); err != nil {
		return nil, fmt.Errorf("v1: line %d: %w", d.n+1, err)
	}
	return nil, io.EOF
}

func decodeLine(line []byte) (probe.Event, error) {
	var head struct {
		Event  string `json:"event"`
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return nil, err
	}
	switch head.Event {
	case EventRun:
		if head.Schema != Schema {
			return nil, fmt.Errorf("schema %q, want %q", head.Schema, Schema)
		}
		var r Run
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, err
		}
		return r.Probe(), nil
	case EventEndpoint, EventDocument:
		var x Exhibit
		if err := json.Unmarshal(line, &x); err != nil {
			return nil, err
		}
		e, err := x.Probe()
		return e, err
	case EventFinding:
		var f Finding
		if err := json.Unmarshal(line, &f); err != nil {
			return nil, err
		}
		p, err := f.Probe()
		return probe.FindingDone{Finding: p}, err
	case EventDone:
		var done Done
		if err := json.Unmarshal(line, &done); err != nil {
			return nil, err
		}
		e, err := done.Probe()
		return e, err
	default:
		return nil, fmt.Errorf("unknown event %q", head.Event)
	}
}
