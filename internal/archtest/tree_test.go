// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/meshprobe/meshprobe"

// source is one Go file of the repository, parsed.
type source struct {
	name  string // slash-separated, from the repository's root
	pkg   string // the directory of name
	first string // the first line
	lines int
	fset  *token.FileSet
	file  *ast.File
}

func parse(t testing.TB, name string, content []byte) source {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, content, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatalf("archtest: parse: %v", err)
	}
	first, _, _ := strings.Cut(string(content), "\n")
	return source{
		name: name, pkg: path.Dir(name), first: first,
		lines: bytes.Count(content, []byte("\n")), fset: fset, file: file,
	}
}

// isTest reports whether the file is compiled for tests only.
func (s source) isTest() bool { return strings.HasSuffix(s.name, "_test.go") }

// isTestPackage reports whether the package exists to be imported by tests:
// hbonetest, clustertest, probetest.
func (s source) isTestPackage() bool { return isTestPackage(s.pkg) }

func isTestPackage(pkg string) bool { return strings.HasSuffix(path.Base(pkg), "test") }

// generated reports whether a generator wrote the file.
func (s source) generated() bool { return ast.IsGenerated(s.file) }

// at formats a complaint about one place in the file.
func (s source) at(pos token.Pos, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: %s", s.name, s.fset.Position(pos).Line, fmt.Sprintf(format, args...))
}

// imports yields the import paths of the file with their positions.
func (s source) imports(yield func(string, token.Pos) bool) {
	for _, spec := range s.file.Imports {
		if !yield(strings.Trim(spec.Path.Value, "`\""), spec.Pos()) {
			return
		}
	}
}

// root finds the directory that holds go.mod.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatalf("archtest: %v", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("archtest: no go.mod above the working directory")
		}
		dir = up
	}
}

// walk calls visit for every file that belongs to the repository.
func walk(t testing.TB, visit func(name string, content []byte)) {
	t.Helper()
	fsys := os.DirFS(root(t))
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name == ".git" || name == "bin" {
				return fs.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		content, err := fs.ReadFile(fsys, name)
		if err == nil {
			visit(name, content)
		}
		return err
	})
	if err != nil {
		t.Fatalf("archtest: %v", err)
	}
}

// sources parses every Go file of the repository and refuses an empty harvest,
// because rules over nothing always hold.
func sources(t testing.TB) []source {
	t.Helper()
	var all []source
	packages := map[string]bool{}
	walk(t, func(name string, content []byte) {
		if strings.HasSuffix(name, ".go") && !strings.Contains(name, "testdata/") {
			all = append(all, parse(t, name, content))
			packages[path.Dir(name)] = true
		}
	})
	for _, want := range []string{"pkg/cluster", "pkg/hbone", "pkg/probe", "pkg/report"} {
		if !packages[want] {
			t.Fatalf("archtest: saw %d packages and not %s", len(packages), want)
		}
	}
	return all
}

// complain fails the test once for each complaint.
func complain(t *testing.T, complaints []string) {
	t.Helper()
	for _, c := range complaints {
		t.Error(c)
	}
}
