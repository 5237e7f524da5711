// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"time"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

// progressEvery bounds how often the line of Progress is drawn.
const progressEvery = 50 * time.Millisecond

// Progress keeps one line of w current while a run goes on, and clears it at
// the end. Off a terminal it writes nothing. It never fails: a lost terminal
// must not cost a report.
func Progress(w io.Writer, terminal bool) probe.Sink {
	if !terminal {
		w = nil
	}
	return &progress{w: w, now: time.Now}
}

type progress struct {
	w     io.Writer // nil off a terminal
	now   func() time.Time
	drawn time.Time
	step  string
	done  int
	bad   int
	shown bool
}

var _ probe.Sink = (*progress)(nil)

func (p *progress) Emit(e probe.Event) error {
	if p.w == nil {
		return nil
	}
	switch e := e.(type) {
	case probe.Progress:
		p.step = e.Step
		if e.Cluster != "" {
			p.step = e.Cluster + ": " + e.Step
		}
		if e.Detail != "" {
			p.step += ", " + e.Detail
		}
	case probe.FindingDone:
		p.step = e.Finding.ID
		p.done++
		if e.Finding.Status == probe.Fail {
			p.bad++
		}
	case probe.RunDone:
		return p.Close()
	}
	p.draw()
	return nil
}

func (p *progress) draw() {
	now := p.now()
	if p.step == "" || now.Sub(p.drawn) < progressEvery {
		return
	}
	p.drawn, p.shown = now, true
	line := p.step
	if p.done > 0 {
		line = itoa(p.done) + " done"
		if p.bad > 0 {
			line += ", " + itoa(p.bad) + " failed"
		}
		line += "   " + p.step
	}
	// A line that wraps cannot be cleared.
	_, _ = fmt.Fprintf(p.w, "\r\x1b[K%s", clip(clean(line), minWidth+minWidth/4))
}

// Close clears the line.
func (p *progress) Close() error {
	if p.shown {
		p.shown = false
		_, _ = io.WriteString(p.w, "\r\x1b[K")
	}
	return nil
}
