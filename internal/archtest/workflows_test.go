// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

var (
	uses   = regexp.MustCompile(`(?m)^\s*-?\s*uses: (.*)$`)
	pinned = regexp.MustCompile(`^[\w./-]+@[0-9a-f]{40} # v\d`)
	run    = regexp.MustCompile(`(?m)^\s*-?\s*run: (.*)$`)
)

// judgeWorkflow complains about a workflow that trusts a moving tag, hands out
// rights, may hang, or does what a developer cannot repeat with make.
func judgeWorkflow(name, content string) []string {
	var complaints []string
	complain := func(format string, args ...any) {
		complaints = append(complaints, name+": "+fmt.Sprintf(format, args...))
	}
	for _, m := range uses.FindAllStringSubmatch(content, -1) {
		if !pinned.MatchString(m[1]) {
			complain("%s is not pinned to a commit with its version beside it", m[1])
		}
	}
	for _, m := range run.FindAllStringSubmatch(content, -1) {
		if !strings.HasPrefix(m[1], "make ") && m[1] != "exit 1" {
			complain("runs %q; CI calls only make", m[1])
		}
	}
	if !strings.Contains(content, "\npermissions:\n  contents: read\n") {
		complain("does not restrict its permissions to contents: read")
	}
	if strings.Count(content, "actions/checkout@") != strings.Count(content, "persist-credentials: false") {
		complain("a checkout keeps its credentials")
	}
	if strings.Count(content, "runs-on:") != strings.Count(content, "timeout-minutes:") {
		complain("a job has no timeout-minutes")
	}
	if !strings.Contains(content, "\n  success:\n") {
		complain("has no job success that gathers the others")
	}
	return complaints
}

func TestWorkflows(t *testing.T) {
	seen := 0
	walk(t, func(name string, content []byte) {
		if strings.HasPrefix(name, ".github/workflows/") {
			seen++
			complain(t, judgeWorkflow(name, string(content)))
		}
	})
	if seen == 0 {
		t.Fatal("archtest: no workflow seen")
	}
}

// TestWorkflowsBite breaks a good workflow in one way at a time.
func TestWorkflowsBite(t *testing.T) {
	good := "\npermissions:\n  contents: read\njobs:\n  test:\n    runs-on: x\n    timeout-minutes: 1\n    steps:\n" +
		"      - uses: actions/checkout@" + strings.Repeat("0", 40) + " # v1.0.0\n" +
		"        with:\n          persist-credentials: false\n      - run: make test\n" +
		"  success:\n    runs-on: x\n    timeout-minutes: 1\n"
	if got := judgeWorkflow("good", good); len(got) != 0 {
		t.Errorf("a good workflow is refused: %q", got)
	}
	for broken, edit := range map[string]*strings.Replacer{
		"tag":         strings.NewReplacer(strings.Repeat("0", 40)+" # v1.0.0", "v1"),
		"command":     strings.NewReplacer("make test", "go test"),
		"permissions": strings.NewReplacer("contents: read", "contents: write"),
		"credentials": strings.NewReplacer("persist-credentials: false", "persist-credentials: true"),
		"timeout":     strings.NewReplacer("    timeout-minutes: 1\n  success", "  success", "    timeout-minutes: 1\n    steps", "    steps"),
		"fan-in":      strings.NewReplacer("  success:", "  done:"),
	} {
		if got := judgeWorkflow(broken, edit.Replace(good)); len(got) != 1 {
			t.Errorf("%s: %q, want one complaint", broken, got)
		}
	}
}
