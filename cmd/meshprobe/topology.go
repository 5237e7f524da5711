// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// readTopology reads a topology file with one of the parsers of cluster; hint is
// for a file that cannot be read.
func readTopology(path string, parse func(io.Reader) (cluster.Topology, error), hint string) (cluster.Topology, error) {
	unreadable := func(err error) error {
		return &usageError{msg: fmt.Sprintf("--topology: cannot read %q: %v", path, reason(err)), hint: hint}
	}
	file, err := os.Open(path)
	if err != nil {
		return cluster.Topology{}, unreadable(err)
	}
	defer file.Close()
	t, err := parse(file)
	te, ok := errors.AsType[*cluster.TopologyError](err)
	if err != nil && !ok {
		return t, unreadable(err)
	}
	if ok && te.Hint == "" {
		te.Hint = "the file must be YAML; check the quotes, brackets and indentation there"
	}
	if err != nil {
		return t, fmt.Errorf("--topology %s: %w", path, err)
	}
	return t, nil
}
