// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded"
	"github.com/meshprobe/meshprobe/pkg/cluster/kind"
	"github.com/meshprobe/meshprobe/pkg/cluster/live"
	"github.com/meshprobe/meshprobe/pkg/probe/probetest"
	"github.com/meshprobe/meshprobe/suites/e2e/kindtest"
)

// openMesh opens the clusters that the flags ask for, federated where they are
// the test's own, and closes them when the test ends.
func openMesh(t *testing.T) *cluster.Set {
	t.Helper()
	if err := known(probetest.Provider()); err != nil {
		t.Fatal(err)
	}
	switch probetest.Provider() {
	case kind.Name:
		set := kindtest.Open(t)
		kindtest.Federate(t, set)
		return set
	case live.Name:
		return running(t)
	default:
		return federated(t)
	}
}

// known refuses the name of a provider that there is not.
func known(name string) error {
	if names := []string{embedded.Name, kind.Name, live.Name}; !slices.Contains(names, name) {
		return fmt.Errorf("unknown provider %q; one of: -args -provider %s", name, strings.Join(names, ", -provider "))
	}
	return nil
}

// federated is an embedded mesh.
func federated(t *testing.T) *cluster.Set {
	t.Helper()
	set, err := (&embedded.Provider{}).Open(t.Context(), kindtest.Topology(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	closing(t, set)
	federation(t, set)
	return set
}

// running looks at somebody's clusters; nothing is changed there.
func running(t *testing.T) *cluster.Set {
	t.Helper()
	var top cluster.Topology
	if probetest.Topology() != "" {
		top = kindtest.Topology(t)
	} else {
		var err error
		if top, err = live.Contexts(nil, strings.Split(probetest.Contexts(), ",")); err != nil {
			t.Fatalf("-contexts: %v", err)
		}
	}
	set, err := (&live.Provider{}).Open(t.Context(), top, nil)
	if err != nil {
		t.Fatal(err)
	}
	closing(t, set)
	return set
}

func closing(t *testing.T, set *cluster.Set) {
	t.Helper()
	t.Cleanup(func() {
		if err := set.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
}
