// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// completionCommand is cobra's as one command, so that an unknown shell is a
// usage error.
func (c *cli) completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:       "completion SHELL",
		Short:     "Print a script that completes meshprobe's commands and flags",
		Long:      "completion prints the completion script of bash, zsh, fish or powershell.",
		Example:   "  source <(meshprobe completion bash)",
		ValidArgs: shells,
		Args:      exactArgs(1, "one of bash, zsh, fish and powershell"),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			generate, ok := map[string]func(io.Writer) error{
				"bash":       func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
				"zsh":        root.GenZshCompletion,
				"fish":       func(w io.Writer) error { return root.GenFishCompletion(w, true) },
				"powershell": root.GenPowerShellCompletionWithDesc,
			}[args[0]]
			if !ok {
				return &usageError{msg: fmt.Sprintf("unknown shell %q", args[0]), hint: "one of: " + strings.Join(shells, ", ")}
			}
			return generate(c.Out)
		},
	}
}
