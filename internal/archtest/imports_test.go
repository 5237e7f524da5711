// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"slices"
	"strings"
	"testing"
)

// layer says what of this module the packages of one subtree may import. The
// longest matching subtree decides. A pattern ending in /... covers a subtree.
type layer struct {
	tree string
	may  []string
}

// layers is the dependency direction of the repository. Packages of one layer
// may import each other; everything else is listed.
var layers = []layer{
	{"cmd", []string{
		"pkg/report/...", "suites/...", "pkg/federate/...", "pkg/probe", "pkg/probe/spec", "pkg/probe/verifier",
		"pkg/agent", "pkg/hbone", "pkg/material", "pkg/cluster", "pkg/cluster/embedded", "pkg/cluster/embedded/fault", "pkg/cluster/kind", "pkg/cluster/live", "pkg/cluster/standin",
	}},
	{"suites", []string{
		"pkg/probe", "pkg/probe/spec", "pkg/probe/verifier", "pkg/hbone", "pkg/federate/...", "pkg/material", "pkg/cluster",
	}},
	// The adapter opens clusters, so it alone of the suites knows the providers.
	{"suites/e2e", []string{
		"suites/...", "pkg/probe/...", "pkg/federate/...", "pkg/report/...",
		"pkg/cluster", "pkg/cluster/embedded", "pkg/cluster/embedded/fault", "pkg/cluster/kind", "pkg/cluster/live",
	}},
	{"pkg/report", []string{"pkg/probe", "pkg/probe/spec"}},
	{"pkg/federate", []string{"pkg/agent/...", "pkg/federate/issuer", "pkg/cluster", "pkg/hbone"}},
	{"pkg/federate/issuer", []string{"pkg/cluster"}},
	{"pkg/hbone", nil},
	{"pkg/probe", []string{"pkg/cluster", "pkg/probe/spec"}},
	{"pkg/probe/spec", nil},
	{"pkg/probe/verifier", nil},
	{"pkg/material", []string{"pkg/probe/verifier", "pkg/cluster"}},
	{"pkg/cluster", nil},
	{"pkg/cluster/clustertest", []string{"pkg/cluster", "pkg/cluster/istioca", "pkg/hbone", "pkg/probe/verifier"}},
	{"pkg/cluster/istioca", []string{"pkg/cluster"}},
	{"pkg/agent", nil},
	{"pkg/cluster/live", []string{"pkg/agent/...", "pkg/cluster", "pkg/cluster/istioca"}},
	// It makes an embedded mesh look like one that runs elsewhere.
	{"pkg/cluster/live/livetest", []string{"pkg/agent/...", "pkg/cluster", "pkg/cluster/embedded", "pkg/cluster/embedded/kubeapi"}},
	// What a pod runs where there is no ztunnel; nothing but the program imports it.
	{"pkg/cluster/standin", []string{"pkg/cluster", "pkg/cluster/istioca", "pkg/cluster/embedded/dataplane"}},
	{"pkg/cluster/kind", []string{"pkg/agent/...", "pkg/cluster", "pkg/cluster/live"}},
	{"pkg/cluster/embedded", []string{"pkg/cluster", "pkg/cluster/istioca", "pkg/hbone", "pkg/probe/verifier"}},
	{"fixtures", nil},
	{"fixtures/gen", []string{"fixtures", "fixtures/corpus", "pkg/...", "suites/..."}},
	{"internal/archtest", nil},
	// A program that measures the others; nothing imports it.
	{"internal/bench", []string{"fixtures", "pkg/...", "suites/..."}},
}

// ban keeps one foreign package tree out of a part of the repository.
type ban struct {
	imports []string // import path patterns
	in      string   // tree that the ban covers; "" is everything
	except  string   // tree that may
	tests   bool     // whether the ban covers _test.go files and *test packages
}

var bans = []ban{
	{imports: []string{"testing/..."}, in: "pkg"},
	{imports: []string{"testing/..."}, in: "cmd"},
	{imports: []string{"log"}},
	{imports: []string{module + "/suites/...", module + "/cmd/..."}, in: "pkg", tests: true},
	{imports: []string{"k8s.io/...", "sigs.k8s.io/..."}, in: "pkg/probe"},
	{imports: []string{"k8s.io/...", "sigs.k8s.io/..."}, in: "pkg/report"},
	{imports: []string{"k8s.io/...", "sigs.k8s.io/..."}, in: "pkg/hbone", tests: true},
	{imports: []string{"sigs.k8s.io/e2e-framework/..."}, except: "suites/e2e", tests: true},
	{imports: []string{"sigs.k8s.io/kind/..."}, except: "pkg/cluster/kind", tests: true},
	{imports: []string{"github.com/google/go-cmp/..."}},
	{imports: []string{"github.com/stretchr/testify/..."}, tests: true},
}

func matches(pattern, name string) bool {
	tree, ok := strings.CutSuffix(pattern, "/...")
	return name == tree || ok && strings.HasPrefix(name, tree+"/")
}

func anyMatches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, name) })
}

// layerOf finds the layer that decides for pkg.
func layerOf(pkg string) (layer, bool) {
	var found layer
	for _, l := range layers {
		if matches(l.tree+"/...", pkg) && len(l.tree) > len(found.tree) {
			found = l
		}
	}
	return found, found.tree != ""
}

// judgeImports complains about imports that point the wrong way.
func judgeImports(s source) []string {
	var complaints []string
	for imported, pos := range s.imports {
		if own, ok := strings.CutPrefix(imported, module+"/"); ok && !s.isTest() {
			if why := wrongWay(s.pkg, own); why != "" {
				complaints = append(complaints, s.at(pos, "%s imports %s: %s", s.pkg, own, why))
			}
		}
		for _, b := range bans {
			forTests := s.isTest() || s.isTestPackage()
			covered := (b.in == "" || matches(b.in+"/...", s.pkg)) && (b.except == "" || !matches(b.except+"/...", s.pkg))
			if covered && (b.tests || !forTests) && anyMatches(b.imports, imported) {
				complaints = append(complaints, s.at(pos, "%s imports %s: kept out of here", s.pkg, imported))
			}
		}
		if matches("pkg/probe/verifier/...", s.pkg) && !s.isTest() && strings.Contains(imported, ".") &&
			!strings.HasPrefix(imported, module) {
			complaints = append(complaints, s.at(pos, "%s imports %s: a leaf on the standard library", s.pkg, imported))
		}
	}
	return complaints
}

// wrongWay explains why pkg may not import own, or returns "".
func wrongWay(pkg, own string) string {
	if isTestPackage(own) && !isTestPackage(pkg) {
		return "only tests import a *test package"
	}
	from, ok := layerOf(pkg)
	if !ok {
		return "the package has no layer; add one to layers"
	}
	to, _ := layerOf(own)
	switch {
	case from.tree == to.tree, anyMatches(from.may, own):
		return ""
	case isTestPackage(pkg) && (own == "fixtures" || isTestPackage(own)):
		return ""
	}
	return "the dependency direction forbids it"
}

func TestImports(t *testing.T) {
	for _, s := range sources(t) {
		complain(t, judgeImports(s))
	}
}

// TestImportsBite shows every rule a file that breaks it, and one that does not.
func TestImportsBite(t *testing.T) {
	for _, tc := range []struct {
		file, imports string
		want          int
	}{
		{"pkg/probe/a.go", module + "/pkg/cluster", 0},
		{"pkg/probe/a.go", module + "/pkg/hbone", 1},
		{"pkg/probe/a.go", module + "/pkg/report", 1},
		{"pkg/probe/a.go", "k8s.io/client-go/kubernetes", 1},
		{"pkg/probe/verifier/a.go", "golang.org/x/net/http2", 1},
		{"pkg/probe/verifier/a.go", module + "/pkg/cluster", 1},
		{"pkg/report/a.go", module + "/pkg/cluster", 1},
		{"pkg/report/v1/a.go", module + "/pkg/probe", 0},
		{"pkg/hbone/a.go", module + "/pkg/probe", 1},
		{"pkg/hbone/a_test.go", "k8s.io/api/core/v1", 1},
		{"pkg/hbone/a.go", "testing", 1},
		{"pkg/hbone/a_test.go", "testing", 0},
		{"pkg/hbone/hbonetest/a.go", "testing", 0},
		{"pkg/hbone/a.go", module + "/pkg/hbone/hbonetest", 1},
		{"pkg/cluster/a.go", module + "/pkg/cluster/embedded", 1},
		{"pkg/cluster/embedded/a.go", module + "/pkg/cluster/embedded/citadel", 0},
		{"pkg/cluster/live/a.go", module + "/pkg/cluster/kind", 1},
		{"pkg/cluster/a_test.go", module + "/suites/ca", 1},
		{"pkg/federate/a.go", "log", 1},
		{"pkg/federate/a.go", "log/slog", 0},
		{"pkg/federate/a.go", "github.com/google/go-cmp/cmp", 1},
		{"pkg/federate/a_test.go", "github.com/google/go-cmp/cmp", 0},
		{"pkg/federate/a_test.go", "github.com/stretchr/testify/require", 1},
		{"suites/ca/a.go", module + "/pkg/cluster/embedded", 1},
		{"suites/ca/a_test.go", "sigs.k8s.io/e2e-framework/pkg/env", 1},
		{"suites/e2e/a_test.go", "sigs.k8s.io/e2e-framework/pkg/env", 0},
		{"pkg/cluster/live/a.go", "sigs.k8s.io/kind/pkg/cluster", 1},
		{"pkg/cluster/kind/a.go", "sigs.k8s.io/kind/pkg/cluster", 0},
		{"cmd/meshprobe/a.go", module + "/pkg/cluster/istioca", 1},
		{"elsewhere/a.go", module + "/pkg/cluster", 1},
	} {
		s := parse(t, tc.file, []byte("package a\n\nimport _ \""+tc.imports+"\"\n"))
		if got := judgeImports(s); len(got) != tc.want {
			t.Errorf("%s importing %s: %d complaints %q, want %d", tc.file, tc.imports, len(got), got, tc.want)
		}
	}
}
