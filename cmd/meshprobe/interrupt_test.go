// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// patience is how soon an interrupted program must be gone, on a machine that
// has other things to do too.
const patience = 10 * time.Second

// TestInterrupt ends a run of many clusters in the middle: while clusters come
// up, and while probes look at them. Either way the reports are whole, the exit
// status says that nothing is proved, and nothing else is left.
func TestInterrupt(t *testing.T) {
	if testing.Short() {
		t.Skip("brings up many clusters")
	}
	for name, tc := range map[string]struct {
		signal syscall.Signal
		event  string // of the JSON lines, after which the signal comes
		says   string
	}{
		"probing-sigint":  {syscall.SIGINT, "finding", ""},
		"probing-sigterm": {syscall.SIGTERM, "finding", ""},
		"set-up-sigint":   {syscall.SIGINT, "run", "interrupted during set-up"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cmd := program(t, dir, "run", "--clusters", "24", "-o", "jsonl", "--junit", "report.xml", "--json", "report.json")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewReader(out)
			awaitEvent(t, lines, tc.event)
			if err := cmd.Process.Signal(tc.signal); err != nil {
				t.Fatal(err)
			}
			sent := time.Now()
			rest, err := io.ReadAll(lines)
			if err != nil {
				t.Fatal(err)
			}
			checkStatus(t, cmd.Wait(), exitInconclusive)
			if took := time.Since(sent); took > patience {
				t.Errorf("gone after %s, want at most %s", took, patience)
			}
			if want := "meshprobe: error: interrupted; the report holds what was found until then\n"; stderr.String() != want {
				t.Errorf("stderr is %q, want %q", stderr.String(), want)
			}
			if !bytes.Contains(rest, []byte(`"event":"done"`)) {
				t.Error("the JSON lines have no end")
			}
			checkReports(t, dir, tc.says)
		})
	}
}

// program is meshprobe in a directory of its own; TestMain made it of the test
// binary.
func program(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "meshprobe", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	return cmd
}

func awaitEvent(t *testing.T, lines *bufio.Reader, event string) {
	t.Helper()
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("there was no event %q: %v", event, err)
		}
		if strings.Contains(line, `"event":"`+event+`"`) {
			return
		}
	}
}

func checkStatus(t *testing.T, err error, want int) {
	t.Helper()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != want {
		t.Errorf("ended with %v, want exit status %d", err, want)
	}
}

// checkReports holds both files to be whole, to agree, and to be alone.
func checkReports(t *testing.T, dir, says string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"report.json", "report.xml"}, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	report, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var run struct {
		Verdict  string           `json:"verdict"`
		Counts   map[string]int   `json:"counts"`
		Findings []map[string]any `json:"findings"`
	}
	if err := json.Unmarshal(report, &run); err != nil {
		t.Fatalf("report.json: %v", err)
	}
	if run.Verdict != "inconclusive" || len(run.Findings) == 0 {
		t.Errorf("report.json: verdict %q with %d findings", run.Verdict, len(run.Findings))
	}
	if says != "" && !bytes.Contains(report, []byte(says)) {
		t.Errorf("report.json does not say %q", says)
	}
	checkJUnit(t, filepath.Join(dir, "report.xml"), len(run.Findings))
}

// checkJUnit holds a report to the schema, where xmllint is there to check, and
// to one test case per finding.
func checkJUnit(t *testing.T, path string, findings int) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dec := xml.NewDecoder(bytes.NewReader(raw))
	cases := 0
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "testcase" {
			cases++
		}
	}
	if cases != findings {
		t.Errorf("%d test cases for %d findings", cases, findings)
	}
	lint, err := exec.LookPath("xmllint")
	if err != nil {
		t.Log("xmllint is not there: the schema is not checked")
		return
	}
	out, err := exec.CommandContext(t.Context(), lint, "--noout", "--schema", "../../fixtures/schema/junit.xsd", path).CombinedOutput()
	if err != nil {
		t.Errorf("xmllint: %v\n%s", err, out)
	}
}
