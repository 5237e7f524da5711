// SPDX-License-Identifier: Apache-2.0

package report

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var ns []string
	for _, e := range entries {
		ns = append(ns, e.Name())
	}
	return ns
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFileAppearsAtClose(t *testing.T) {
	events := recorded(t, "healthy")
	for _, format := range Formats() {
		t.Run(format, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "report")
			if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := File(path, format, Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				if err := s.Emit(e); err != nil {
					t.Fatal(err)
				}
			}
			if got := content(t, path); got != "before" {
				t.Errorf("changed before Close: %q", got)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(render(t, format, Options{}, events), content(t, path)); diff != "" {
				t.Error(diff)
			}
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != reportMode {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			if diff := cmp.Diff([]string{"report"}, names(t, dir)); diff != "" {
				t.Errorf("left behind:\n%s", diff)
			}
		})
	}
}

// Where another flag is wrong, what was opened before goes without a trace.
func TestFileWithoutEventsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s, err := File(filepath.Join(dir, "r.xml"), FormatJUnit, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); got != nil {
		t.Errorf("left behind: %v", got)
	}
}

func TestFileRefusesEarly(t *testing.T) {
	dir := t.TempDir()
	readonly := filepath.Join(dir, "readonly")
	if err := os.WriteFile(readonly, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, format, want string }{
		"no-name":      {"", FormatJUnit, "report: a file needs a name"},
		"no-directory": {filepath.Join(dir, "none", "r.xml"), FormatJUnit, "no such file or directory"},
		"directory":    {dir, FormatJUnit, "is a directory"},
		"below-a-file": {filepath.Join(readonly, "r.xml"), FormatJUnit, "not a directory"},
		"read-only":    {readonly, FormatJUnit, "permission denied"},
		"format":       {filepath.Join(dir, "r"), "junti", `did you mean "junit"`},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "read-only" && os.Geteuid() == 0 {
				t.Skip("root may write everything")
			}
			s, err := File(c.path, c.format, Options{})
			if err == nil || s != nil {
				t.Fatalf("%v, %v", s, err)
			}
			if !strings.HasPrefix(err.Error(), "report: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want %q in it", err, c.want)
			}
		})
	}
	if diff := cmp.Diff([]string{"readonly"}, names(t, dir)); diff != "" {
		t.Errorf("left behind:\n%s", diff)
	}
}

// A link is followed, so that /reports/latest.xml stays a link.
func TestFileFollowsLinks(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	s, err := File(link, FormatJSONL, Options{})
	if err != nil {
		t.Fatal(err)
	}
	feed(t, s, recorded(t, "healthy"))
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
	if content(t, target) == "" {
		t.Error("the target is empty")
	}
}

// Replacing a device by a file would be a bad surprise.
func TestFileWritesDevicesDirectly(t *testing.T) {
	s, err := File(os.DevNull, FormatJSON, Options{})
	if err != nil {
		t.Fatal(err)
	}
	feed(t, s, recorded(t, "healthy"))
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Errorf("%s became %v, %v", os.DevNull, info, err)
	}
}

func TestFileOnFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full")
	}
	for _, format := range Formats() {
		s, err := File("/dev/full", format, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range recorded(t, "healthy") {
			if err = s.Emit(e); err != nil {
				break
			}
		}
		if err == nil {
			err = s.Close()
		}
		if err == nil || !strings.HasPrefix(err.Error(), "report: write /dev/full: ") {
			t.Errorf("%s: %v", format, err)
		}
	}
}

// What a failed write leaves is what was there before.
func TestFailedFileLeavesTheOldOne(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "r.xml")
	s, err := File(path, FormatJUnit, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Emit(probe.RunStarted{}); err != nil {
		t.Fatal(err)
	}
	if err := s.(*fileSink).file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Close: %v", err)
	}
	if got := names(t, dir); got != nil {
		t.Errorf("left behind: %v", got)
	}
}
