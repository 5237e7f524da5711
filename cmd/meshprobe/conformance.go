// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/report"
	v1 "github.com/meshprobe/meshprobe/pkg/report/v1"
	"github.com/meshprobe/meshprobe/suites"
)

// exitProblems: a conformance report is wrong.
const exitProblems = 1

// conformanceFlags say what a conformance report is about, and where it goes.
type conformanceFlags struct {
	file, implementation, organization, url string
	contact                                 []string
	chosen                                  func(flag string) bool
}

func (f *conformanceFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.file, "report", "", "also write a conformance report, for publication, to `FILE` (YAML)")
	fl.StringVar(&f.implementation, "implementation", "", "--report: what was tested, `NAME@VERSION`")
	fl.StringVar(&f.organization, "organization", "", "--report: whose implementation it is")
	fl.StringVar(&f.url, "url", "", "--report: where the implementation is described")
	fl.StringArrayVar(&f.contact, "contact", nil, "--report: whom to ask; repeatable")
	f.chosen = fl.Changed
}

func (f *conformanceFlags) check() error {
	if f.chosen == nil {
		return nil
	}
	name, version, _ := strings.Cut(f.implementation, "@")
	switch {
	case f.chosen("report") && f.file == "":
		return &usageError{msg: "--report needs the name of a file", hint: "for example: --report conformance.yaml"}
	case f.file != "" && (name == "" || version == ""):
		return &usageError{msg: "--report needs to know what was tested", hint: "for example: --implementation istio@1.31.0"}
	case f.file == "" && (f.chosen("implementation") || f.chosen("organization") || f.chosen("url") || f.chosen("contact")):
		return &usageError{msg: "--implementation, --organization, --url and --contact describe a --report", hint: "for example: --report conformance.yaml"}
	}
	return nil
}

// tested is the implementation in the words of the user.
func (f *conformanceFlags) tested() v1.Implementation {
	name, version, _ := strings.Cut(f.implementation, "@")
	return v1.Implementation{Name: name, Version: version, Organization: f.organization, URL: f.url, Contact: f.contact}
}

func (c *cli) reportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Check a conformance report that somebody published",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return c.noSubcommand(cmd, args)
			}
			return &usageError{msg: "report needs a verb", hint: "for example: meshprobe report verify conformance.yaml"}
		},
	}
	var record string
	verify := &cobra.Command{
		Use:   "verify FILE",
		Short: "Say what is wrong with a conformance report",
		Long: `verify reads a report that run or check wrote with --report, and says what in
it does not follow from what stands below it, which probes were left out, and,
with --record, where it differs from what the recorded observations say when
this version judges them again. Exit status: 0 nothing is wrong, 1 something is.`,
		Example: "  meshprobe report verify conformance.yaml\n  meshprobe report verify conformance.yaml --record record-dir",
		Args:    exactArgs(1, "one conformance report"),
		RunE:    func(cmd *cobra.Command, args []string) error { return c.verifyReport(cmd.Context(), args[0], record) },
	}
	verify.Flags().StringVar(&record, "record", "", "compare with the observations in `DIR`, written by run --record")
	cmd.AddCommand(verify)
	return cmd
}

func (c *cli) verifyReport(ctx context.Context, file, record string) error {
	got, err := readConformance(file)
	if err != nil {
		return err
	}
	problems := report.VerifyConformance(got, suites.Mesh())
	if record != "" {
		more, err := differences(ctx, got, record)
		if err != nil {
			return err
		}
		problems = append(problems, more...)
	}
	for _, p := range problems {
		_, _ = fmt.Fprintf(c.Out, "%s: %s\n", file, p)
	}
	if len(problems) > 0 {
		c.status = exitProblems
		return nil
	}
	_, err = fmt.Fprintf(c.Out, "%s: %s %s, profile %s: %s; %d core and %d extended probes, by meshprobe %s\n", file,
		got.Implementation.Name, got.Implementation.Version, got.Profile, got.Verdict, len(got.Core.Probes), len(got.Extended.Probes), got.Tool.Version)
	return err
}

func readConformance(file string) (v1.Conformance, error) {
	f, err := os.Open(file)
	if err != nil {
		return v1.Conformance{}, &usageError{msg: fmt.Sprintf("%q: %s", file, reason(err)), hint: "write one with: meshprobe check --report conformance.yaml --implementation NAME@VERSION"}
	}
	defer f.Close()
	got, err := report.ReadConformance(f)
	if err != nil {
		return got, &usageError{msg: fmt.Sprintf("%q: %s", file, strings.TrimPrefix(err.Error(), "report: ")), hint: "write one with: meshprobe check --report conformance.yaml --implementation NAME@VERSION"}
	}
	return got, nil
}

// differences judges the record again and compares.
func differences(ctx context.Context, got v1.Conformance, dir string) ([]string, error) {
	record, plan, err := recorded(dir, selectionFlags{profile: got.Profile})
	if err != nil {
		return nil, err
	}
	var again bytes.Buffer
	sink, err := report.New(report.FormatConformance, &again, report.Options{Implementation: got.Implementation})
	if err != nil {
		return nil, err
	}
	if _, err := (&probe.Runner{Sink: report.Ordered(sink)}).Replay(ctx, record, plan); err != nil {
		return nil, errors.Join(err, sink.Close())
	}
	if err := sink.Close(); err != nil {
		return nil, err
	}
	want, err := report.ReadConformance(&again)
	if err != nil {
		return nil, err
	}
	return compare(want, got), nil
}

// compare names what a report says otherwise than the record.
func compare(want, got v1.Conformance) []string {
	var problems []string
	for _, part := range []struct {
		name      string
		want, got any
	}{
		{"topology", want.Topology, got.Topology},
		{"verdict", want.Verdict, got.Verdict},
	} {
		if fmt.Sprint(part.want) != fmt.Sprint(part.got) {
			problems = append(problems, fmt.Sprintf("%s is %v, the record says %v", part.name, part.got, part.want))
		}
	}
	say := map[string]v1.ConfProbe{}
	for _, p := range append(want.Core.Probes, want.Extended.Probes...) {
		say[p.ID] = p
	}
	for _, p := range append(got.Core.Probes, got.Extended.Probes...) {
		if w := say[p.ID]; fmt.Sprint(w) != fmt.Sprint(p) {
			problems = append(problems, fmt.Sprintf("%s: %s %v %v, the record says %s %v %v", p.ID, p.Result, p.Counts, p.Causes, w.Result, w.Counts, w.Causes))
		}
	}
	return problems
}
