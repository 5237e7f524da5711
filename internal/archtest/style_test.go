// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"go/ast"
	"strings"
	"testing"
)

const (
	license      = "// SPDX-License-Identifier: Apache-2.0"
	maxFileLines = 500
	maxFuncLines = 80
)

// banned names calls that take a decision away from the caller: when to end the
// process, how long to wait, when to give up, where logs go.
var banned = map[string]string{
	"os.Exit":            "only main ends the process",
	"time.Sleep":         "wait for the event or the context",
	"context.Background": "take the caller's context",
	"context.TODO":       "take the caller's context",
	"slog.SetDefault":    "take a *slog.Logger",
	"slog.Default":       "take a *slog.Logger",
	"slog.Debug":         "take a *slog.Logger",
	"slog.Info":          "take a *slog.Logger",
	"slog.Warn":          "take a *slog.Logger",
	"slog.Error":         "take a *slog.Logger",
}

// judgeSize complains about files and functions nobody reads to the end.
func judgeSize(s source) []string {
	var complaints []string
	if s.lines > maxFileLines {
		complaints = append(complaints, s.at(1, "%d lines, at most %d", s.lines, maxFileLines))
	}
	for _, decl := range s.file.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		n := s.span(fn) + 1
		if s.isTest() {
			n -= s.tableLines(fn)
		}
		if n > maxFuncLines {
			complaints = append(complaints, s.at(fn.Pos(), "func %s has %d lines, at most %d", fn.Name.Name, n, maxFuncLines))
		}
	}
	return complaints
}

// span counts the line breaks inside a node.
func (s source) span(n ast.Node) int {
	return s.fset.Position(n.End()).Line - s.fset.Position(n.Pos()).Line
}

// tableLines counts the lines of a test that are its table of cases: those are
// data, and a long table is no reason to split a test.
func (s source) tableLines(fn *ast.FuncDecl) int {
	lines := 0
	ast.Inspect(fn, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if ok {
			lines += s.span(lit)
		}
		return !ok
	})
	return lines
}

// judgeCalls complains about init functions and banned calls outside of tests
// and main packages.
func judgeCalls(s source) []string {
	var complaints []string
	for _, decl := range s.file.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			complaints = append(complaints, s.at(fn.Pos(), "func init: nothing registers itself"))
		}
	}
	if s.isTest() || s.file.Name.Name == "main" {
		return complaints
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok {
			name := x.Name + "." + sel.Sel.Name
			if why, bad := banned[name]; bad {
				complaints = append(complaints, s.at(sel.Pos(), "%s: %s", name, why))
			}
		}
		return true
	})
	return complaints
}

// judgeDocs complains about exported identifiers without a doc comment.
func judgeDocs(s source) []string {
	if s.isTest() || s.file.Name.Name == "main" {
		return nil
	}
	var complaints []string
	missing := func(id *ast.Ident, docs ...*ast.CommentGroup) {
		for _, doc := range docs {
			if doc != nil && strings.TrimSpace(doc.Text()) != "" {
				return
			}
		}
		if id.IsExported() {
			complaints = append(complaints, s.at(id.Pos(), "exported %s has no doc comment", id.Name))
		}
	}
	for _, decl := range s.file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil || receiverExported(d.Recv) {
				missing(d.Name, d.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				docsOfSpec(d, spec, missing)
			}
		}
	}
	return complaints
}

// docsOfSpec looks at one const, var or type. A comment above a group of
// constants or variables speaks for all of them; a type needs its own.
func docsOfSpec(d *ast.GenDecl, spec ast.Spec, missing func(*ast.Ident, ...*ast.CommentGroup)) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		for _, id := range spec.Names {
			missing(id, d.Doc, spec.Doc, spec.Comment)
		}
	case *ast.TypeSpec:
		if d.Lparen.IsValid() {
			missing(spec.Name, spec.Doc)
		} else {
			missing(spec.Name, d.Doc)
		}
		iface, ok := spec.Type.(*ast.InterfaceType)
		if !ok || !spec.Name.IsExported() {
			return
		}
		for _, method := range iface.Methods.List {
			for _, id := range method.Names {
				missing(id, method.Doc, method.Comment)
			}
		}
	}
}

// receiverExported reports whether a method belongs to an exported type.
func receiverExported(recv *ast.FieldList) bool {
	exported := false
	ast.Inspect(recv.List[0].Type, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		if ok {
			exported = id.IsExported()
		}
		return !ok
	})
	return exported
}

func judgeStyle(s source) []string {
	if s.generated() {
		return nil
	}
	var complaints []string
	if s.first != license {
		complaints = append(complaints, s.at(1, "line 1 is %q, want %q", s.first, license))
	}
	complaints = append(complaints, judgeSize(s)...)
	complaints = append(complaints, judgeCalls(s)...)
	return append(complaints, judgeDocs(s)...)
}

func TestStyle(t *testing.T) {
	for _, s := range sources(t) {
		complain(t, judgeStyle(s))
	}
}

// TestPackageDocs wants one package comment in every package that is not a main.
func TestPackageDocs(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if !s.isTest() {
			documented[s.pkg] = documented[s.pkg] || s.file.Doc != nil
		}
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("%s: no file has a package comment", pkg)
		}
	}
}

// TestStyleBites shows every rule a file that breaks it.
func TestStyleBites(t *testing.T) {
	const head = license + "\n\npackage a\n\n"
	for name, tc := range map[string]struct {
		file, source string
		want         int
	}{
		"clean":                  {"a.go", head + "// F does.\nfunc F() {}\n", 0},
		"no license":             {"a.go", "package a\n", 1},
		"undocumented function":  {"a.go", head + "func F() {}\n", 1},
		"undocumented method":    {"a.go", head + "// T is.\ntype T[A any] struct{}\n\nfunc (*T[A]) M() {}\n", 1},
		"method of a hidden one": {"a.go", head + "type t struct{}\n\nfunc (t) M() {}\n", 0},
		"undocumented in iface":  {"a.go", head + "// I is.\ntype I interface {\n\tM()\n}\n", 1},
		"undocumented constant":  {"a.go", head + "const C = 1\n", 1},
		"documented group":       {"a.go", head + "// Cs are.\nconst (\n\tC = 1\n\tD = 2\n)\n", 0},
		"undocumented type":      {"a.go", head + "// Ts are.\ntype (\n\tT int\n)\n", 1},
		"tests need no docs":     {"a_test.go", head + "func F() {}\n", 0},
		"init":                   {"a.go", head + "func init() {}\n", 1},
		"exit":                   {"a.go", head + "func f() { os.Exit(1) }\n", 1},
		"sleep":                  {"a.go", head + "func f() { time.Sleep(1) }\n", 1},
		"background":             {"a.go", head + "var f = context.Background\n", 1},
		"global logger":          {"a.go", head + "func f() { slog.Info(\"\") }\n", 1},
		"long function":          {"a.go", head + "func f() {" + strings.Repeat("\n", maxFuncLines) + "}\n", 1},
		"longest function":       {"a.go", head + "func f() {" + strings.Repeat("\n", maxFuncLines-1) + "}\n", 0},
		"long test":              {"a_test.go", head + "func f() {" + strings.Repeat("\n", maxFuncLines) + "}\n", 1},
		"long table":             {"a_test.go", head + "func f() { _ = []int{" + strings.Repeat("\n", maxFuncLines) + "} }\n", 0},
		"long file":              {"a.go", head + strings.Repeat("\n", maxFileLines), 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := judgeStyle(parse(t, tc.file, []byte(tc.source))); len(got) != tc.want {
				t.Errorf("%d complaints %q, want %d", len(got), got, tc.want)
			}
		})
	}
}
