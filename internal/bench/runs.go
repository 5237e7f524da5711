// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// wholeRuns times the main job from process start to JUnit.
func wholeRuns(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "meshprobe-bench-")
	if err != nil {
		return fmt.Errorf("temporary directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	bin := filepath.Join(dir, "meshprobe")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", bin, "./cmd/meshprobe").CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	for _, c := range []struct {
		clusters int
		goal     time.Duration
	}{{2, 1500 * time.Millisecond}, {24, 10 * time.Second}} {
		if err := wholeRun(ctx, bin, dir, c.clusters, c.goal); err != nil {
			return err
		}
	}
	return nil
}

func wholeRun(ctx context.Context, bin, dir string, clusters int, goal time.Duration) error {
	var took []float64
	var rss int64
	for range 5 {
		begin := time.Now()
		cmd := exec.CommandContext(ctx, bin, "run", "--clusters", fmt.Sprint(clusters), "--junit", filepath.Join(dir, "report.xml"))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("run --clusters %d: %w\n%s", clusters, err, out)
		}
		took = append(took, time.Since(begin).Seconds())
		if ru, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			rss = max(rss, ru.Maxrss) // KiB on Linux
		}
	}
	fmt.Printf("%-44s %10.2f s on %d cores (goal %.1f s), peak %d MiB (goal 150)\n",
		fmt.Sprintf("whole run, %d clusters, start to JUnit", clusters), median(took), runtime.NumCPU(), goal.Seconds(), rss>>10)
	return nil
}
