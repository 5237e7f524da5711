// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// The exit statuses of the CLI contract; those of a verdict are
// probe.Summary.ExitStatus.
const (
	exitOK           = 0
	exitUsage        = 2
	exitInconclusive = 3
)

// stdio is what a command sees of the world around it.
type stdio struct {
	Out, Err                 io.Writer
	OutTerminal, ErrTerminal bool
	Width                    int // of the terminal, 0 where there is none
	Getenv                   func(string) string
}

// run executes one command line and returns the exit status.
func run(ctx context.Context, args []string, io stdio) int {
	c := &cli{stdio: io}
	root := c.root()
	root.SetArgs(args)
	root.SetOut(io.Out)
	root.SetErr(io.Err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return c.status
	}
	return c.complain(err)
}

// cli is one execution.
type cli struct {
	stdio
	status int // exit status of a command that did its work
}

// usageError is a command line or input that cannot be meant.
type usageError struct {
	msg  string
	hint string
}

func (e *usageError) Error() string { return e.msg }

// complain prints an error and its hint, and returns the exit status.
func (c *cli) complain(err error) int {
	status, hint := exitInconclusive, ""
	if ue, ok := errors.AsType[*usageError](err); ok {
		status, hint = exitUsage, ue.hint
	}
	if pe, ok := errors.AsType[*probe.UsageError](err); ok {
		status, hint = exitUsage, pe.Hint
	}
	if te, ok := errors.AsType[*cluster.TopologyError](err); ok {
		status, hint = exitUsage, te.Hint
	}
	fmt.Fprintln(c.Err, "meshprobe: error:", err)
	if hint != "" {
		fmt.Fprintln(c.Err, "meshprobe: hint:", hint)
	}
	return status
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "meshprobe",
		Short: "Prove that workloads in different clusters of a service mesh trust each other",
		Long: `meshprobe proves that workloads in different clusters of a service mesh
really trust each other: it brings clusters up, federates them under one
shared root, opens real sidecar mTLS and HBONE handshakes, judges every chain
and every identity, and says what is wrong, where, and what to do.

Exit status: 0 conformant or partial, 1 nonconformant, 2 usage, 3 inconclusive.`,
		Example: `  meshprobe run --junit report.xml
  meshprobe explain trust/shared-root`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          c.noSubcommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(c.runCommand(), c.listCommand(), c.explainCommand(), c.replayCommand(), c.federateCommand(), c.versionCommand())
	return root
}

// noSubcommand says which command was meant.
func (c *cli) noSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	near, _ := cluster.Nearest(args[0], names)
	return &usageError{
		msg:  fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath()),
		hint: fmt.Sprintf("did you mean: %s %s", cmd.CommandPath(), near),
	}
}

var unknownFlag = regexp.MustCompile(`^unknown (?:shorthand )?flag: (?:'.' in )?(-\S+)`)

// flagError names the nearest flag there is.
func flagError(cmd *cobra.Command, err error) error {
	hint := "see: " + cmd.CommandPath() + " --help"
	if m := unknownFlag.FindStringSubmatch(err.Error()); m != nil {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
		name, _, _ := strings.Cut(m[1], "=")
		if near, ok := cluster.Nearest(name, names); ok {
			hint = "did you mean " + near + "? see: " + cmd.CommandPath() + " --help"
		}
	}
	return &usageError{msg: err.Error(), hint: hint}
}

// exactArgs is cobra.ExactArgs with a usage error that says what is missing.
func exactArgs(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		return &usageError{
			msg:  fmt.Sprintf("%s takes %s, got %d arguments", cmd.CommandPath(), what, len(args)),
			hint: "for example: " + strings.TrimSpace(strings.SplitN(cmd.Example, "\n", 2)[0]),
		}
	}
}
