// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary stand in for the program: scripts find it as
// meshprobe on their PATH.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"meshprobe": main})
}

func TestScripts(t *testing.T) {
	schema, err := filepath.Abs("../../fixtures/schema/junit.xsd")
	if err != nil {
		t.Fatal(err)
	}
	endpoints := serveEndpoints(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"mkroot":  mkroot,
			"refuses": refuses,
			"sees":    sees,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("JUNIT_XSD", schema)
			env.Setenv("DEPLOY", filepath.Join(filepath.Dir(schema), "../../deploy"))
			for name, value := range endpoints {
				env.Setenv(name, value)
			}
			return nil
		},
	})
}

// exits STATUS ARGS... runs meshprobe and asks for an exit status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exits STATUS ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := status(ts, args[1:]); got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// refuses ERROR HINT ARGS... holds meshprobe to what it owes for bad input:
// exit status 2, nothing on stdout, one error line and one hint line that
// match, and not a file more or less than before.
func refuses(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: refuses ERROR HINT ARGS...")
	}
	before := files(ts)
	if got := status(ts, args[2:]); got != exitUsage {
		ts.Fatalf("exit status %d, want %d", got, exitUsage)
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("stdout holds %q, want nothing", out)
	}
	if diff := cmp.Diff(before, files(ts)); diff != "" {
		ts.Fatalf("files (-before +after):\n%s", diff)
	}
	lines := strings.SplitAfter(ts.ReadFile("stderr"), "\n")
	if len(lines) != 3 || lines[2] != "" {
		ts.Fatalf("stderr holds %d lines, want an error and a hint:\n%s", len(lines)-1, strings.Join(lines, ""))
	}
	for i, want := range []string{args[0], args[1]} {
		prefix := []string{"meshprobe: error: ", "meshprobe: hint: "}[i]
		text, ok := strings.CutPrefix(strings.TrimSuffix(lines[i], "\n"), prefix)
		if !ok {
			ts.Fatalf("line %d does not begin with %q: %s", i+1, prefix, lines[i])
		}
		if strings.HasSuffix(text, ".") || regexp.MustCompile(`^[A-Z][a-z]`).MatchString(text) {
			ts.Fatalf("want no capital and no full stop: %s", text)
		}
		if !regexp.MustCompile(want).MatchString(text) {
			ts.Fatalf("%q does not match %q", text, want)
		}
	}
}

// sees N PATTERN asks for a number of entries in the current directory, with
// their names, those with a dot included.
func sees(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: sees NAME...")
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(args)), files(ts)); diff != "" {
		ts.Fatalf("files (-want +got):\n%s", diff)
	}
}

// status runs meshprobe.
func status(ts *testscript.TestScript, args []string) int {
	err := ts.Exec("meshprobe", args...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	ts.Check(err)
	return exitOK
}

// files lists what is under the current directory of the script.
func files(ts *testscript.TestScript) []string {
	var names []string
	root := ts.MkAbs(".")
	ts.Check(filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if rel, relErr := filepath.Rel(root, path); relErr == nil && rel != "." && rel != ".tmp" {
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	}))
	slices.Sort(names)
	return names
}
