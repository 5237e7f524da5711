// SPDX-License-Identifier: Apache-2.0

package fault_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/fault"
)

func TestAll(t *testing.T) {
	name := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	seen := map[string]bool{}
	for _, f := range fault.All() {
		if !name.MatchString(f.Name) || f.Title == "" || seen[f.Name] {
			t.Errorf("%q: %q", f.Name, f.Title)
		}
		seen[f.Name] = true
		if o, err := fault.Parse(f.Name + "=west"); err != nil || o.Name != f.Name || o.Cluster != "west" {
			t.Errorf("Parse(%s=west): %+v, %v", f.Name, o, err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                "did you mean",
		"ew-unreachabel":  `"ew-unreachable"`,
		"=west":           "did you mean",
		"ew-unreachable=": "leave =CLUSTER out",
	} {
		_, err := fault.Parse(in)
		ue, ok := errors.AsType[*fault.UsageError](err)
		if !ok || !strings.Contains(ue.Hint, want) {
			t.Errorf("Parse(%q): %v, want a *UsageError with the hint %q", in, err, want)
		}
	}
}

func TestApplyRefuses(t *testing.T) {
	topology, err := cluster.Default(2)
	if err != nil {
		t.Fatal(err)
	}
	o, err := fault.Parse("ew-unreachable=wset")
	if err != nil {
		t.Fatal(err)
	}
	set, err := (&embedded.Provider{}).Open(t.Context(), topology, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := set.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	if ue, ok := errors.AsType[*fault.UsageError](o.Apply(t.Context(), set)); !ok || ue.Hint != `did you mean "west"?` {
		t.Errorf("a cluster that there is none of: %v", ue)
	}
	// Without federation there is no cacerts to spoil.
	if o, err = fault.Parse("root-mismatch-same-dn"); err != nil {
		t.Fatal(err)
	}
	if err := o.Apply(t.Context(), set); err == nil || !strings.Contains(err.Error(), "cacerts") {
		t.Errorf("without federation: %v", err)
	}
}
