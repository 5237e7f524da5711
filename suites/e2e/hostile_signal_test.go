// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

const (
	interrupts     = 20
	interruptSeed  = 4
	interruptUntil = 2500 * time.Millisecond // most points lie early, where clusters come up
	patience       = 10 * time.Second
)

// TestInterruptedAnywhere ends a run of 24 clusters at random points, from the
// first moment of the process on. Whatever it was doing, it is gone soon, with
// the right exit status, whole reports and nothing else left.
func TestInterruptedAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	leakFree(t)
	program := build(t)
	r := rand.New(rand.NewPCG(interruptSeed, 0)) // the same each time
	for i := range interrupts {
		u := r.Float64()
		until := interruptUntil
		if *soakRuns >= 1000 {
			until *= 4 // beyond the end of a run
		}
		after := time.Duration(u * u * u * float64(until))
		sig := []syscall.Signal{syscall.SIGINT, syscall.SIGTERM}[i%2]
		t.Run(fmt.Sprintf("%s after %s", sig, after.Round(time.Millisecond)), func(t *testing.T) {
			interrupt(t, program, sig, after)
		})
	}
}

// build makes the real program.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "meshprobe")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../cmd/meshprobe").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

func interrupt(t *testing.T, program string, sig syscall.Signal, after time.Duration) {
	t.Helper()
	dir := t.TempDir()
	tmp := t.TempDir()
	jsonFile, junitFile := filepath.Join(dir, "report.json"), filepath.Join(dir, "report.xml")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "run", "--clusters", "24", "--json", jsonFile, "--junit", junitFile)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.NewTimer(after)
	defer timer.Stop()
	<-timer.C
	sent := time.Now()
	if err := cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	_ = cmd.Wait() // ProcessState says how it ended
	if took := time.Since(sent); took > patience {
		t.Errorf("gone %s after the signal", took)
	}
	empty(t, tmp)
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == sig {
		empty(t, dir) // before main: nothing was begun
		return
	}
	verdict := checkInterrupted(t, dir, jsonFile, junitFile)
	want := probe.Summary{RunDone: probe.RunDone{Verdict: verdict}}.ExitStatus()
	if got := cmd.ProcessState.ExitCode(); got != want {
		t.Errorf("exit status %d, verdict %s\n%s", got, verdict, &stderr)
	}
	if stdout.Len() == 0 {
		t.Error("there is no report on standard output")
	}
}

// checkInterrupted reads the reports. A run that was ended is inconclusive, and
// nothing that it says is a failure.
func checkInterrupted(t *testing.T, dir, jsonFile, junitFile string) probe.Verdict {
	t.Helper()
	findings, verdict := readReports(t, dir, jsonFile, junitFile)
	if verdict != probe.Inconclusive && verdict != probe.Conformant {
		t.Errorf("verdict %s\n%.2000s", verdict, troubles(findings))
	}
	for _, f := range findings {
		if f.Status == "fail" || f.Status == "blocked" {
			t.Errorf("%s %s %s: %s", f.Status, f.ID, f.Subject, f.Cause)
		}
	}
	return verdict
}

// empty fails where a directory is not empty.
func empty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s was left behind", filepath.Join(dir, e.Name()))
	}
}
