// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/cluster/live"
)

// TestComplain: an error that knows what to do next says so on standard error,
// whoever made it.
func TestComplain(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"interrupted while it wrote": {
			stopped(context.Canceled, true),
			"meshprobe: error: interrupted: context canceled\nmeshprobe: hint: what was done stays; the same command continues\n",
		},
		"interrupted": {stopped(context.Canceled, false), "meshprobe: error: interrupted: context canceled\n"},
		"a cluster": {
			fmt.Errorf("open: %w", &live.NoMeshError{Why: "no istiod runs", Hint: "name another context"}),
			"meshprobe: error: open: no istiod runs\nmeshprobe: hint: name another context\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr strings.Builder
			c := &cli{stdio: stdio{Err: &stderr}}
			if status := c.complain(tc.err); status != exitInconclusive {
				t.Errorf("exit status %d", status)
			}
			if diff := cmp.Diff(tc.want, stderr.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
