// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/report"
)

// TestLostReports: a report that cannot be written costs that report only. The
// run goes on, the others are whole, and the caller is told.
func TestLostReports(t *testing.T) {
	leakFree(t)
	set := meshOf(t, defaultTopology(t))
	for _, format := range report.Formats() {
		for name, sink := range map[string]func(t *testing.T) (io.Writer, func()){
			"full disk":   fullDisk,
			"closed pipe": closedPipe,
		} {
			t.Run(format+" "+name, func(t *testing.T) {
				w, done := sink(t)
				defer done()
				s, err := report.New(format, w, report.Options{})
				if err != nil {
					t.Fatal(err)
				}
				j := on(set)
				j.sinks = []probe.Sink{s}
				got := j.run(t.Context(), t, 20*time.Second)
				if !errors.Is(got.err, syscall.ENOSPC) && !errors.Is(got.err, syscall.EPIPE) {
					t.Errorf("the caller is told %v", got.err)
				}
				if got.Verdict != probe.Conformant {
					t.Errorf("%s", got.Verdict)
				}
			})
		}
	}
	t.Run("file on a full disk", func(t *testing.T) {
		if _, err := os.Stat("/dev/full"); err != nil {
			t.Skip("there is no /dev/full")
		}
		j := on(set)
		j.sinks = []probe.Sink{file(t, "/dev/full", report.FormatJUnit)}
		got := j.run(t.Context(), t, 20*time.Second)
		if !errors.Is(got.err, syscall.ENOSPC) || got.Verdict != probe.Conformant {
			t.Errorf("%s, %v", got.Verdict, got.err)
		}
	})
}

func fullDisk(t *testing.T) (io.Writer, func()) {
	t.Helper()
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	return f, func() { _ = f.Close() }
}

func closedPipe(t *testing.T) (io.Writer, func()) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	return w, func() { _ = w.Close() }
}
