// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bufio"
	"errors"
	"io"
	"strconv"

	"github.com/meshprobe/meshprobe/pkg/probe"
	v1 "github.com/meshprobe/meshprobe/pkg/report/v1"
)

// jsonSink writes one v1.Report, one finding per line. Findings wait in a
// spool because the run's duration comes before them.
type jsonSink struct {
	w     io.Writer
	spool *spool
	all   *piece
	run   v1.Run
	shown map[string]*exhibits // by event
	done  v1.Done
	begun bool
	err   error
}

// exhibits are the values of one kind, in JSON, with commas between them.
type exhibits struct {
	n      int
	values *piece
}

var _ probe.Sink = (*jsonSink)(nil)

func newJSON(w io.Writer, opts Options) *jsonSink {
	s := &jsonSink{w: w, spool: newSpool(opts.TempDir), shown: map[string]*exhibits{}}
	s.all = s.spool.piece()
	s.done = v1.DoneOf(probe.RunDone{Verdict: probe.Inconclusive})
	s.run.Version = opts.Version
	return s
}

func (s *jsonSink) Emit(e probe.Event) error {
	if s.err != nil {
		return s.err
	}
	switch e := e.(type) {
	case probe.RunStarted:
		if e.Version == "" {
			e.Version = s.run.Version
		}
		s.run, s.begun = v1.RunOf(e), true
	case probe.Exhibit:
		s.exhibit(e)
	case probe.FindingDone:
		s.finding(e.Finding)
	case probe.RunDone:
		s.done, s.begun = v1.DoneOf(e), true
		s.run.DurationMS = s.done.DurationMS
	}
	return s.err
}

func (s *jsonSink) exhibit(e probe.Exhibit) {
	x, err := v1.ExhibitOf(e)
	if err != nil {
		s.err = err
		return
	}
	of := s.shown[x.Event]
	if of == nil {
		of = &exhibits{values: s.spool.piece()}
		s.shown[x.Event] = of
	}
	before := len(of.values.tail)
	if of.n > 0 {
		of.values.tail = append(of.values.tail, ",\n"...)
	}
	of.values.tail = append(of.values.tail, x.Value()...)
	of.n++
	if err := s.spool.grew(len(of.values.tail) - before); err != nil {
		s.err = err
	}
	s.begun = true
}

// writeExhibits writes an endpoint as an object, several endpoints and any
// number of documents as lists.
func (s *jsonSink) writeExhibits(out *bufio.Writer) error {
	for _, kind := range []string{v1.EventEndpoint, v1.EventDocument} {
		of := s.shown[kind]
		if of == nil {
			continue
		}
		key, open, end := kind+"s", "[", "]"
		if kind == v1.EventEndpoint && of.n == 1 {
			key, open, end = kind, "", ""
		}
		_, _ = out.WriteString(`,"` + key + `":` + open + "\n")
		if err := s.spool.writeTo(out, of.values); err != nil {
			return err
		}
		_, _ = out.WriteString("\n" + end)
	}
	return nil
}

func (s *jsonSink) finding(f probe.Finding) {
	before := len(s.all.tail)
	if before > 0 || len(s.all.extents) > 0 {
		s.all.tail = append(s.all.tail, ",\n"...)
	}
	s.all.tail = new(v1.FindingOf(f)).AppendJSON(s.all.tail)
	if err := s.spool.grew(len(s.all.tail) - before); err != nil {
		s.err = err
	}
	s.begun = true
}

// Close writes the object.
func (s *jsonSink) Close() error {
	if s.err == nil && s.begun {
		s.err = s.write()
	}
	return errors.Join(s.err, s.spool.close())
}

func (s *jsonSink) write() error {
	out := bufio.NewWriterSize(s.w, 64<<10)
	b := append([]byte(nil), `{"schema":"`+v1.Schema+`","run":`...)
	_, _ = out.Write(s.run.AppendJSON(b)) // a bufio.Writer keeps its first error for Flush
	if err := s.writeExhibits(out); err != nil {
		return err
	}
	_, _ = out.WriteString(`,"findings":[` + "\n")
	if err := s.spool.writeTo(out, s.all); err != nil {
		return err
	}
	b = append(b[:0], "\n"+`],"verdict":"`...)
	b = append(b, s.done.Verdict...)
	b = append(b, `","counts":`...)
	b = s.done.Counts.AppendJSON(b)
	b = append(b, `,"unknown":`...)
	b = strconv.AppendInt(b, int64(s.done.Unknown), 10)
	_, _ = out.Write(append(b, "}\n"...))
	return out.Flush()
}

// jsonlSink writes one event per line, as they come:
// whoever follows a pipe sees each finding at once.
type jsonlSink struct {
	out  *bufio.Writer
	buf  []byte
	lazy bool
	err  error
}

var _ probe.Sink = (*jsonlSink)(nil)

func newJSONL(w io.Writer, opts Options) *jsonlSink {
	return &jsonlSink{out: bufio.NewWriterSize(w, 64<<10), lazy: opts.lazy}
}

func (s *jsonlSink) Emit(e probe.Event) error {
	if s.err != nil {
		return s.err
	}
	s.buf = s.buf[:0]
	switch e := e.(type) {
	case probe.RunStarted:
		s.buf = v1.RunOf(e).AppendLine(s.buf)
	case probe.Exhibit:
		x, err := v1.ExhibitOf(e)
		if err != nil {
			s.err = err
			return s.err
		}
		s.buf = x.AppendLine(s.buf)
	case probe.FindingDone:
		s.buf = new(v1.FindingOf(e.Finding)).AppendLine(s.buf)
	case probe.RunDone:
		s.buf = v1.DoneOf(e).AppendLine(s.buf)
	case probe.Progress:
		return nil
	}
	_, s.err = s.out.Write(s.buf)
	if s.err == nil && !s.lazy {
		s.err = s.out.Flush()
	}
	return s.err
}

// Close writes what is still buffered.
func (s *jsonlSink) Close() error {
	if s.err == nil {
		s.err = s.out.Flush()
	}
	return s.err
}
