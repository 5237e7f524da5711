// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// declared returns the names of all clause variables, by parsing the package.
func declared(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, s := range gen.Specs {
				v := s.(*ast.ValueSpec)
				if v.Doc == nil {
					t.Errorf("%s: %s has no doc comment", e.Name(), v.Names[0].Name)
				}
				names = append(names, v.Names[0].Name)
			}
		}
	}
	return names
}

// listed returns the names that the per-document slices mention.
func listed(t *testing.T) map[string]int {
	t.Helper()
	found := map[string]int{}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Recv != nil {
				continue
			}
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					found[id.Name]++
				}
				return true
			})
		}
	}
	return found
}

func TestAllListsEveryClause(t *testing.T) {
	names, in := declared(t), listed(t)
	if len(names) < 50 {
		t.Fatalf("parsed %d clauses", len(names))
	}
	for _, name := range names {
		if in[name] != 1 {
			t.Errorf("%s is listed %d times, want once in its document's slice", name, in[name])
		}
	}
	if got := len(All()); got != len(names) {
		t.Errorf("All returns %d clauses, %d are declared", got, len(names))
	}
}

func TestClausesAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range All() {
		if c.Doc == "" || c.Section == "" || c.Quote == "" || !strings.HasPrefix(c.URL, "https://") || !c.Level.Valid() {
			t.Errorf("incomplete clause %+v", c)
		}
		if seen[c.Quote] {
			t.Errorf("%s quotes a sentence twice: %s", c, c.Quote)
		}
		seen[c.Quote] = true
	}
}

func TestString(t *testing.T) {
	for want, c := range map[string]Clause{
		"X509-SVID §2":       X509URISAN,
		"RFC 5280 §4.2.1.9":  RFC5280PathLen,
		"Istio: plug-in CA":  IstioCACertsFiles,
		"HBONE: TLS profile": HBONETLSProfile,
		"RFC 1":              {Doc: "RFC 1"},
	} {
		if diff := cmp.Diff(want, c.String()); diff != "" {
			t.Errorf("String (-want +got):\n%s", diff)
		}
	}
}

func TestLevelText(t *testing.T) {
	for _, l := range []Level{Must, Should, May} {
		text, err := l.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back Level
		if err := back.UnmarshalText(text); err != nil || back != l {
			t.Errorf("%s read back as %s, %v", l, back, err)
		}
	}
	if _, err := Level(0).MarshalText(); err == nil {
		t.Error("the zero level was written")
	}
	var l Level
	if err := l.UnmarshalText([]byte("MUST")); err == nil {
		t.Error("an unknown level was read")
	}
}
