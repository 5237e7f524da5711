// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded"
	"github.com/meshprobe/meshprobe/pkg/cluster/kind"
	"github.com/meshprobe/meshprobe/pkg/cluster/live"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/report"
)

// clusterFlags say which clusters a command works on.
type clusterFlags struct {
	provider string
	clusters int
	file     string
	kind     kindFlags
	chosen   func(flag string) bool
}

func (f *clusterFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.provider, "provider", embedded.Name, "what opens the clusters: "+strings.Join(f.providers(), " or "))
	f.addTopology(cmd)
}

// providers are those that a command knows.
func (f *clusterFlags) providers() []string {
	if f.kind.chosen == nil {
		return []string{embedded.Name}
	}
	return []string{embedded.Name, kind.Name, live.Name}
}

func (f *clusterFlags) addTopology(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.IntVar(&f.clusters, "clusters", 2, "number of clusters of the default topology")
	fl.StringVar(&f.file, "topology", "", "topology `FILE` (YAML) in place of the default one")
	f.chosen = fl.Changed
}

func (f *clusterFlags) topology(ctx context.Context) (cluster.Topology, error) {
	if f.kind.reuse != "" {
		if f.chosen("topology") || f.chosen("clusters") {
			return cluster.Topology{}, &usageError{msg: "--reuse keeps the topology that the mesh was made with", hint: "leave out --topology and --clusters"}
		}
		if err := f.kind.only(f.provider); err != nil {
			return cluster.Topology{}, err
		}
		if err := f.kind.contradiction(); err != nil {
			return cluster.Topology{}, err
		}
		return f.kind.reused(ctx)
	}
	if !f.chosen("topology") {
		t, err := cluster.Default(f.clusters)
		if err != nil {
			return t, fmt.Errorf("--clusters: %w", err)
		}
		return t, nil
	}
	if f.chosen("clusters") {
		return cluster.Topology{}, &usageError{msg: "--clusters and --topology contradict each other", hint: "leave --clusters out: the topology file lists its clusters"}
	}
	return readTopology(f.file, cluster.ParseTopology, "name a readable YAML file, or leave it out for the default topology")
}

// reason is what went wrong with a file, without the path and the operation.
func reason(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

func (f *clusterFlags) open(t cluster.Topology) (cluster.Provider, error) {
	known := f.providers()
	if !slices.Contains(known, f.provider) {
		return nil, &usageError{msg: fmt.Sprintf("unknown provider %q", f.provider), hint: "one of: --provider " + strings.Join(known, ", --provider ")}
	}
	if err := f.kind.only(f.provider); err != nil {
		return nil, err
	}
	switch f.provider {
	case kind.Name:
		return f.kind.provider(t)
	case live.Name:
		return nil, errors.New("live clusters are not made: see runLive")
	}
	return &embedded.Provider{}, nil
}

// selectionFlags say which probes run, and how strictly.
type selectionFlags struct {
	profile string
	run     string
	skip    []string
	strict  bool
}

func (f *selectionFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.profile, "profile", probe.Istio.Name, "promise to hold the mesh to: see meshprobe list profiles")
	fl.StringVar(&f.run, "run", "", "run only the probes whose ID matches `REGEX`")
	fl.StringArrayVar(&f.skip, "skip", nil, "skip the probe with this `ID`; repeatable")
	fl.BoolVar(&f.strict, "strict", false, "count warnings as failures")
}

func (f *selectionFlags) plan(all []probe.Probe) (probe.Plan, error) {
	profile, err := probe.ParseProfile(f.profile)
	if err != nil {
		return probe.Plan{}, fmt.Errorf("--profile: %w", err)
	}
	return probe.Select(all, probe.Selection{Profile: profile, Run: f.run, Skip: f.skip})
}

// outputFlags say where reports go.
type outputFlags struct {
	format  string
	junit   string
	json    string
	noColor bool
	lines   bool // one line for each of many endpoints, and nothing held back for order
	chosen  func(flag string) bool

	conformance conformanceFlags
}

func (f *outputFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVarP(&f.format, "output", "o", report.FormatText, "format on standard output: text, json or jsonl")
	fl.StringVar(&f.junit, "junit", "", "also write JUnit XML to `FILE`")
	fl.StringVar(&f.json, "json", "", "also write JSON to `FILE`")
	fl.BoolVar(&f.noColor, "no-color", false, "no colours, also on a terminal")
	f.chosen = fl.Changed
}

// check refuses what no report can be written to.
func (f outputFlags) check() error {
	formats := []string{report.FormatText, report.FormatJSON, report.FormatJSONL}
	switch {
	case f.format == report.FormatJUnit:
		return &usageError{msg: "-o: JUnit goes to a file", hint: "write: --junit report.xml"}
	case !slices.Contains(formats, f.format):
		return &usageError{msg: fmt.Sprintf("-o: unknown format %q", f.format), hint: "one of: " + strings.Join(formats, ", ")}
	case f.chosen("junit") && f.junit == "", f.chosen("json") && f.json == "":
		return &usageError{msg: "--junit and --json need the name of a file", hint: "for example: --junit report.xml"}
	case f.junit != "" && f.json != "" && filepath.Clean(f.junit) == filepath.Clean(f.json):
		return &usageError{msg: "--junit and --json name the same file", hint: "give each a file of its own"}
	}
	return f.conformance.check()
}

// sinks opens every report before anything else happens: a path that cannot
// be written is a usage error, not a surprise at the end.
func (c *cli) sinks(f outputFlags) (probe.Sink, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	opts := report.Options{
		Version: version(), Width: c.Width, Lines: f.lines, Implementation: f.conformance.tested(),
		Color: c.OutTerminal && !f.noColor && c.Getenv("NO_COLOR") == "" && c.Getenv("TERM") != "dumb",
	}
	ordered, err := c.files(f, opts)
	if err != nil {
		return nil, err
	}
	for _, path := range []string{f.junit, f.json, f.conformance.file} {
		if path != "" {
			opts.Files = append(opts.Files, path)
		}
	}
	main, err := report.New(f.format, c.Out, opts)
	if err != nil {
		return nil, errors.Join(err, closeAll(ordered))
	}
	direct := []probe.Sink{report.Progress(c.Err, c.ErrTerminal)}
	switch {
	case f.lines:
		direct = append(append(direct, ordered...), main)
		ordered = nil
	case f.format == report.FormatJSONL:
		direct = append(direct, main) // completion order is its point
	default:
		ordered = append(ordered, main)
	}
	if len(ordered) > 0 {
		direct = append(direct, report.Ordered(report.Tee(ordered...)))
	}
	return report.Tee(direct...), nil
}

// files opens the reports that go to files.
func (c *cli) files(f outputFlags, opts report.Options) ([]probe.Sink, error) {
	var sinks []probe.Sink
	for _, file := range []struct{ flag, path, format string }{
		{"--junit", f.junit, report.FormatJUnit},
		{"--json", f.json, report.FormatJSON},
		{"--report", f.conformance.file, report.FormatConformance},
	} {
		if file.path == "" {
			continue
		}
		s, err := report.File(file.path, file.format, opts)
		if err != nil {
			return nil, errors.Join(&usageError{msg: file.flag + ": " + strings.TrimPrefix(err.Error(), "report: "), hint: "name a file in a directory that exists and can be written"}, closeAll(sinks))
		}
		sinks = append(sinks, s)
	}
	return sinks, nil
}

// closeAll closes sinks that got no event: files that were begun vanish.
func closeAll(sinks []probe.Sink) error {
	var errs []error
	for _, s := range sinks {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
