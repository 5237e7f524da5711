// SPDX-License-Identifier: Apache-2.0

package suites_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/fixtures"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/probetest"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites"
)

// declared is an exported variable that holds a probe, as the source has it.
type declared struct{ dir, file, name, id string }

// TestEveryProbeIsListed holds the directories to Probes(): a probe that is
// declared and not listed would never run.
func TestEveryProbeIsListed(t *testing.T) {
	var inSource, inList []string
	for _, d := range declarations(t) {
		inSource = append(inSource, d.id)
		want := d.dir + "/" + strings.ReplaceAll(strings.TrimSuffix(path.Base(d.file), ".go"), "_", "-")
		if d.id != want {
			t.Errorf("%s declares %s, want the ID of its directory and file: %s", d.file, d.id, want)
		}
		if squeezed(d.name) != squeezed(path.Base(d.id)) {
			t.Errorf("%s: the variable of %s is called %s", d.file, d.id, d.name)
		}
	}
	for _, p := range suites.All() {
		inList = append(inList, p.ID)
	}
	slices.Sort(inSource)
	slices.Sort(inList)
	if diff := cmp.Diff(inSource, inList); diff != "" {
		t.Errorf("probes (-declared +listed):\n%s", diff)
	}
}

func squeezed(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "")) }

// TestMetaIsComplete reads every probe as a person would who asks to explain
// it.
func TestMetaIsComplete(t *testing.T) {
	id := regexp.MustCompile(`^[a-z]+(/[a-z0-9]+(-[a-z0-9]+)*)$`)
	code := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	ids := map[string]bool{}
	for _, p := range suites.All() {
		if ids[p.ID] {
			t.Errorf("%s is there twice", p.ID)
		}
		ids[p.ID] = true
	}
	for _, p := range suites.All() {
		if !id.MatchString(p.ID) {
			t.Errorf("%q is no suite/kebab-case", p.ID)
		}
		for what, text := range map[string]string{"Title": p.Title, "About": p.About, "Applies": p.Applies} {
			if strings.TrimSpace(text) == "" {
				t.Errorf("%s has no %s", p.ID, what)
			}
		}
		if strings.HasSuffix(p.Title, ".") || p.Title != strings.TrimSpace(p.Title) {
			t.Errorf("%s: the title %q is no bare sentence", p.ID, p.Title)
		}
		if !slices.Contains(spec.All(), p.Clause) {
			t.Errorf("%s cites a clause that spec does not list: %s", p.ID, p.Clause)
		}
		for _, after := range slices.Concat(p.After, p.AfterTo) {
			if !ids[after] || after == p.ID {
				t.Errorf("%s comes after %q, which is no other probe", p.ID, after)
			}
		}
		for _, name := range p.Profiles {
			if _, err := probe.ParseProfile(name); err != nil {
				t.Errorf("%s: %v", p.ID, err)
			}
		}
		if len(p.Causes) == 0 {
			t.Errorf("%s names no cause", p.ID)
		}
		codes := map[string]bool{}
		for _, c := range p.Causes {
			if !code.MatchString(c.Code) || codes[c.Code] || c.Code == probe.Unknown.Code {
				t.Errorf("%s: the cause code %q is no slug, or there twice, or unknown", p.ID, c.Code)
			}
			codes[c.Code] = true
			if c.Title == "" || len(c.Try) == 0 || slices.Contains(c.Try, "") {
				t.Errorf("%s: the cause %s lacks a title or something to try", p.ID, c.Code)
			}
		}
	}
}

// TestPlans makes the plan of each profile, and of all probes at once: a circle
// in After is an error.
func TestPlans(t *testing.T) {
	for _, profile := range probe.Profiles() {
		plan, err := probe.Select(suites.All(), probe.Selection{Profile: profile})
		if err != nil {
			t.Errorf("%s: %v", profile.Name, err)
		}
		if len(plan.Probes) < 20 {
			t.Errorf("profile %s has %d probes", profile.Name, len(plan.Probes))
		}
	}
	all := suites.All()
	for i := range all {
		all[i].Profiles = nil
	}
	if _, err := probe.Select(all, probe.Selection{}); err != nil {
		t.Error(err)
	}
}

// TestHintsRender holds the templates of hints to the variables that every
// finding has, and to those that the judge adds where it names the cause.
func TestHintsRender(t *testing.T) {
	known := []string{"ID", "Subject", "From", "To", "Cluster", "Namespace", "Name", "Restart"}
	variable := regexp.MustCompile(`\{\{\.(\w+)\}\}`)
	for _, p := range suites.All() {
		for _, fx := range probetest.Fixtures(t, p, fixtures.FS) {
			findings, err := p.JudgeRaw(fx.Observation(t, p, fixtures.FS))
			if err != nil {
				t.Errorf("%s, %s: %v", p.ID, fx.Name, err)
			}
			for _, f := range findings {
				for _, try := range f.Cause.Try {
					names := variable.FindAllStringSubmatch(try, -1)
					if strings.Count(try, "{{") != len(names) {
						t.Errorf("%s, %s: %q is more than variables", p.ID, f.Cause.Code, try)
					}
					for _, m := range names {
						if _, set := f.Vars[m[1]]; !set && !slices.Contains(known, m[1]) {
							t.Errorf("%s, %s: %q uses %s, which %s does not set", p.ID, f.Cause.Code, try, m[0], fx.Name)
						}
					}
				}
			}
		}
	}
}

// TestFixtures counts what probetest holds the probes to, and finds what
// belongs to no probe.
func TestFixtures(t *testing.T) {
	all := suites.All()
	observations := map[string]bool{}
	for _, p := range all {
		observations[probetest.RecordedFile(p.ObservationName())] = true
		if len(probetest.Fixtures(t, p, fixtures.FS)) < 2 {
			t.Errorf("%s has fewer than two fixtures", p.ID)
		}
	}
	files := 0
	err := fs.WalkDir(fixtures.FS, "observations", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".json" {
			return err
		}
		files++
		id := strings.TrimPrefix(path.Dir(name), "observations/")
		ofProbe := slices.ContainsFunc(all, func(p probe.Probe) bool { return p.ID == id })
		if !ofProbe && !observations[name] {
			t.Errorf("%s belongs to no probe and no observation", name)
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Errorf("walked %d files of fixtures/observations: %v", files, err)
	}
}

// TestEveryPackageTakesTheFlags keeps `go test ./suites/... -args -provider P`
// working: a test binary without probetest would refuse the flag.
func TestEveryPackageTakesTheFlags(t *testing.T) {
	packages := map[string]bool{}
	walk(t, func(name string, file *ast.File) {
		if !strings.HasSuffix(name, "_test.go") {
			return
		}
		dir := path.Dir(name)
		packages[dir] = packages[dir] || slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool {
			return strings.HasSuffix(i.Path.Value, `/pkg/probe/probetest"`)
		})
	})
	for dir, ok := range packages {
		if !ok {
			t.Errorf("the tests of suites/%s do not import probetest", dir)
		}
	}
	for _, p := range suites.All() {
		if _, ok := packages[p.Suite()]; !ok {
			t.Errorf("suites/%s has no tests", p.Suite())
		}
	}
}

// walk parses every Go file under suites/.
func walk(t *testing.T, visit func(name string, file *ast.File)) {
	t.Helper()
	root := os.DirFS(".")
	files := 0
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".go" {
			return err
		}
		src, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files++
		visit(name, file)
		return nil
	})
	if err != nil || files == 0 {
		t.Fatalf("walked %d Go files under suites: %v", files, err)
	}
}

// declarations finds the exported variables that probe.Define or DefineOn make.
func declarations(t *testing.T) []declared {
	t.Helper()
	var out []declared
	walk(t, func(name string, file *ast.File) {
		if strings.HasSuffix(name, "_test.go") {
			return
		}
		for _, decl := range file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, s := range gen.Specs {
				v := s.(*ast.ValueSpec)
				for i, value := range v.Values {
					if id, ok := probeID(value); ok {
						out = append(out, declared{dir: path.Dir(name), file: name, name: v.Names[i].Name, id: id})
					}
				}
			}
		}
	})
	if len(out) == 0 {
		t.Fatal("no probe is declared anywhere")
	}
	return out
}

// probeID reads the ID out of probe.Define(probe.Meta{ID: "…"}, …).
func probeID(value ast.Expr) (string, bool) {
	call, ok := value.(*ast.CallExpr)
	if !ok || len(call.Args) == 0 {
		return "", false
	}
	fun, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || fun.Sel.Name != "Define" && fun.Sel.Name != "DefineOn" {
		return "", false
	}
	meta, ok := call.Args[0].(*ast.CompositeLit)
	if !ok {
		return "", true
	}
	for _, e := range meta.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		key, ok := kv.Key.(*ast.Ident)
		lit, isLit := kv.Value.(*ast.BasicLit)
		if ok && isLit && key.Name == "ID" {
			id, err := strconv.Unquote(lit.Value)
			return id, err == nil
		}
	}
	return "", true
}
