// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

// told is a tester that notes what it is told.
type told struct {
	logs, errors, skips []string
}

func (t *told) Helper() {}
func (t *told) Logf(format string, args ...any) {
	t.logs = append(t.logs, fmt.Sprintf(format, args...))
}

func (t *told) Errorf(format string, args ...any) {
	t.errors = append(t.errors, fmt.Sprintf(format, args...))
}
func (t *told) Skip(args ...any) { t.skips = append(t.skips, fmt.Sprint(args...)) }

func TestTell(t *testing.T) {
	cause := probe.Cause{Code: "root-mismatch", Title: "two roots"}
	failing := probe.Failing(cause, probe.WantGot("roots", "one", "two"))
	failing.Hint = []string{"meshprobe federate plan"}
	for name, tc := range map[string]struct {
		found               []probe.Finding
		logs, errors, skips int
		says                []string
	}{
		"pass":         {found: []probe.Finding{probe.Passing()}},
		"nothing":      {errors: 1},
		"fail":         {found: []probe.Finding{probe.Passing(), failing}, errors: 1, says: []string{"root-mismatch: two roots", "want one", "got  two", "try    meshprobe federate plan"}},
		"broken":       {found: []probe.Finding{probe.Breaking("no route")}, errors: 1, says: []string{"no route"}},
		"blocked":      {found: []probe.Finding{{Status: probe.Blocked, BlockedBy: "trust/shared-root mesh"}}, errors: 1, says: []string{"blocked by trust/shared-root mesh"}},
		"unset":        {found: []probe.Finding{{}}, errors: 1},
		"all skipped":  {found: []probe.Finding{probe.Skipping("no sidecars"), probe.Lacking("get secrets")}, skips: 1, says: []string{"no sidecars", "get secrets"}},
		"some skipped": {found: []probe.Finding{probe.Skipping("no sidecars"), probe.Passing()}},
		"note":         {found: []probe.Finding{probe.Noting(cause, probe.Text("roots", "two"))}, logs: 1},
	} {
		t.Run(name, func(t *testing.T) {
			var got told
			tell(&got, tc.found)
			want := [3]int{tc.logs, tc.errors, tc.skips}
			if diff := cmp.Diff(want, [3]int{len(got.logs), len(got.errors), len(got.skips)}); diff != "" {
				t.Errorf("logs, errors, skips (-want +got):\n%s\n%+v", diff, got)
			}
			all := strings.Join(append(append(got.logs, got.errors...), got.skips...), "\n")
			for _, s := range tc.says {
				if !strings.Contains(all, s) {
					t.Errorf("%q is not told in\n%s", s, all)
				}
			}
		})
	}
}

func TestUnknownProvider(t *testing.T) {
	err := known("knd")
	if err == nil || !strings.Contains(err.Error(), `unknown provider "knd"`) || !strings.Contains(err.Error(), "-provider embedded") {
		t.Errorf("%v", err)
	}
}
