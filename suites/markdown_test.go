// SPDX-License-Identifier: Apache-2.0

package suites_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/probe/probetest"
	"github.com/meshprobe/meshprobe/suites"
)

const probesDocument = "../docs/PROBES.md"

func TestProbesDocument(t *testing.T) {
	var want bytes.Buffer
	if err := suites.Markdown(&want); err != nil {
		t.Fatal(err)
	}
	if probetest.Update() {
		if err := os.MkdirAll(filepath.Dir(probesDocument), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(probesDocument, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(probesDocument)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.String(), string(got)); diff != "" {
		t.Errorf("docs/PROBES.md is not what the probes say (-want +got); write it anew: make generate\n%s", diff)
	}
}

// TestLinksResolve follows every link inside docs/PROBES.md, and every
// meshprobe explain in a hint.
func TestLinksResolve(t *testing.T) {
	var text bytes.Buffer
	if err := suites.Markdown(&text); err != nil {
		t.Fatal(err)
	}
	anchors := map[string]int{}
	for _, m := range regexp.MustCompile(`<a id="([^"]+)">`).FindAllStringSubmatch(text.String(), -1) {
		anchors[m[1]]++
	}
	for anchor, n := range anchors {
		if n > 1 {
			t.Errorf("the anchor %s is there %d times", anchor, n)
		}
	}
	links := regexp.MustCompile(`\]\(#([^)]+)\)`).FindAllStringSubmatch(text.String(), -1)
	if len(links) < 2*len(suites.All()) {
		t.Fatalf("%d links for %d probes", len(links), len(suites.All()))
	}
	for _, m := range links {
		if anchors[m[1]] == 0 {
			t.Errorf("the link #%s leads nowhere", m[1])
		}
	}
	explained := regexp.MustCompile(`meshprobe explain ([a-z0-9/-]+)`)
	for _, p := range suites.All() {
		for _, c := range p.Causes {
			for _, m := range explained.FindAllStringSubmatch(strings.Join(c.Try, "\n"), -1) {
				if anchors[suites.Anchor(m[1])]+anchors[suites.CauseAnchor(m[1])] == 0 {
					t.Errorf("a hint of %s says %q, which there is not", c.Code, m[0])
				}
			}
		}
	}
}
