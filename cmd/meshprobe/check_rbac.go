// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/meshprobe/meshprobe/pkg/cluster/live"
)

// rbacFlags print what a check needs to be allowed.
type rbacFlags struct{ asked bool }

func (f *rbacFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.asked, "print-rbac", false, "print the least that a check must be allowed, as manifests, and do nothing else")
}

// write prints it for istiods in the namespaces of --root-namespace, or where
// Istio installs one. Which cluster has which is for who applies it.
func (f *rbacFlags) write(w io.Writer, roots []string, agent bool) error {
	var namespaces []string
	for _, r := range roots {
		ns := r[strings.LastIndexByte(r, '=')+1:]
		if problems := validation.IsDNS1123Label(ns); len(problems) > 0 {
			return &usageError{msg: fmt.Sprintf("--root-namespace: %q is no namespace", r), hint: problems[0]}
		}
		if !slices.Contains(namespaces, ns) {
			namespaces = append(namespaces, ns)
		}
	}
	text, err := live.RBAC(agent, namespaces...)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprint(w, text); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}
