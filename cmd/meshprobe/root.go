// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
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
	In                       io.Reader
	Out, Err                 io.Writer
	OutTerminal, ErrTerminal bool
	Width                    int // of the terminal, 0 where there is none
	Getenv                   func(string) string
}

// run executes one command line and returns the exit status.
func run(ctx context.Context, args []string, io stdio) int {
	c := &cli{stdio: io}
	root := c.root() //nolint:contextcheck // cobra hands the context to what it runs
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
	msg := err.Error()
	if re, ok := errors.AsType[*issuer.RootError](err); ok {
		status, hint, msg = exitUsage, re.Hint, strings.TrimPrefix(re.Error(), "issuer: ")
	}
	if he, ok := errors.AsType[cluster.Hinted](err); ok && hint == "" {
		hint = strings.Join(he.Hints(), "; ")
	}
	_, _ = fmt.Fprintln(c.Err, "meshprobe: error:", msg)
	if hint != "" {
		_, _ = fmt.Fprintln(c.Err, "meshprobe: hint:", hint)
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
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          c.noSubcommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(flagError)
	root.SetVersionTemplate(versionLine())
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(c.helpCommand())
	root.AddCommand(c.runCommand(), c.probeCommand(), c.inspectCommand(), c.listCommand(), c.explainCommand(), c.replayCommand(), c.checkCommand(), c.federateCommand(), c.clustersCommand(), c.appCommand(), c.agentCommand(), c.reportCommand(), c.versionCommand(), c.completionCommand())
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

// helpCommand is cobra's, but an unknown topic is a usage error.
func (c *cli) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Say what a command does",
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return c.noSubcommand(topic, rest)
			}
			topic.InitDefaultHelpFlag()
			return topic.Help()
		},
	}
}

var unknownFlag = regexp.MustCompile(`^unknown (?:shorthand )?flag: (?:'.' in )?(-\S+)`)

// flagError names the nearest flag there is, or what a value must look like.
func flagError(cmd *cobra.Command, err error) error {
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return valueError(bad.GetFlag(), bad.GetValue())
	}
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

func valueError(f *pflag.Flag, value string) error {
	want := map[string]string{"int": "a whole number", "duration": "a duration with its unit", "bool": "true or false"}[f.Value.Type()]
	return &usageError{
		msg:  fmt.Sprintf("--%s %q is not %s", f.Name, value, cmp.Or(want, "a "+f.Value.Type())),
		hint: fmt.Sprintf("for example: --%s=%s", f.Name, cmp.Or(map[string]string{"key-size": "4096", "wait": "30s"}[f.Name], f.DefValue)),
	}
}

// exactArgs is cobra.ExactArgs with a usage error that says what is missing.
func exactArgs(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == n {
			return nil
		}
		return &usageError{
			msg:  fmt.Sprintf("%s takes %s, got %s", cmd.CommandPath(), what, told(args)),
			hint: "for example: " + strings.TrimSpace(strings.SplitN(cmd.Example, "\n", 2)[0]),
		}
	}
}

// told is the arguments as they were given.
func told(args []string) string {
	if len(args) == 0 {
		return "none"
	}
	return fmt.Sprintf("%q", args)
}
