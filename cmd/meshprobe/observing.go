// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites"
)

// observingFlags say how a plan is run.
type observingFlags struct {
	parallel      int
	timeout, wait time.Duration
	record        string
	recordChosen  func() bool
}

func (f *observingFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.IntVar(&f.parallel, "parallel", 8, "observations in flight")
	fl.DurationVar(&f.timeout, "timeout", 10*time.Second, "time for one observation")
	fl.DurationVar(&f.wait, "wait", 0, "time that what is pending may take to converge; a Pending that outlasts it is a failure")
	fl.StringVar(&f.record, "record", "", "write every observation to `DIR`, for meshprobe replay")
	f.recordChosen = func() bool { return fl.Changed("record") }
}

// check refuses numbers that cannot be meant.
func (f *observingFlags) check() error {
	switch {
	case f.parallel < 1:
		return &usageError{msg: fmt.Sprintf("--parallel %d: there must be at least one observation in flight", f.parallel), hint: "for example: --parallel 8"}
	case f.timeout <= 0:
		return &usageError{msg: fmt.Sprintf("--timeout %s: an observation needs some time", f.timeout), hint: "for example: --timeout 10s"}
	case f.wait < 0:
		return &usageError{msg: fmt.Sprintf("--wait %s is negative", f.wait), hint: "for example: --wait 30s"}
	case f.recordChosen() && f.record == "":
		return &usageError{msg: "--record needs the name of a directory", hint: "for example: --record record-dir"}
	}
	return nil
}

// planned is the chosen probes of a mesh and the engine that runs them; its sink,
// opened here, is the caller's to close.
func (c *cli) planned(sel selectionFlags, obs observingFlags, out outputFlags) (probe.Plan, *probe.Runner, error) {
	plan, err := sel.plan(suites.Mesh())
	if err != nil {
		return plan, nil, err
	}
	if err := obs.check(); err != nil {
		return plan, nil, err
	}
	sink, err := c.sinks(out)
	if err != nil {
		return plan, nil, err
	}
	runner, err := obs.runner(sink, sel.strict)
	if err != nil {
		return plan, nil, errors.Join(err, sink.Close())
	}
	return plan, runner, nil
}

// runner is an engine that writes to sink.
func (f *observingFlags) runner(sink probe.Sink, strict bool) (*probe.Runner, error) {
	r := &probe.Runner{Sink: sink, Parallel: f.parallel, Timeout: f.timeout, Wait: f.wait, Strict: strict}
	if f.record == "" {
		return r, nil
	}
	var err error
	if r.Recorder, err = probe.NewRecorder(f.record); err != nil {
		return nil, &usageError{msg: "--record: " + strings.TrimPrefix(err.Error(), "probe: record: "), hint: "name a directory that does not exist yet, or an empty one"}
	}
	return r, nil
}
