// SPDX-License-Identifier: Apache-2.0

package embedded_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, n int) *cluster.Set {
	t.Helper()
	top, err := cluster.Default(n)
	if err != nil {
		t.Fatal(err)
	}
	return openTopology(t, top)
}

func openTopology(t testing.TB, top cluster.Topology) *cluster.Set {
	t.Helper()
	set, err := (&embedded.Provider{ConnectTimeout: 200 * time.Millisecond}).Open(t.Context(), top, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return set
}

func TestOpen(t *testing.T) {
	begin := time.Now()
	set := open(t, 2)
	t.Log(time.Since(begin))
	for _, c := range set.Clusters {
		ws, err := c.Workloads(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range ws {
			t.Logf("%+v", w)
		}
		ids, _ := cluster.As[cluster.Identities](c)
		id, err := ids.Identity(t.Context(), "bookinfo", "reviews")
		if err != nil {
			t.Fatal(err)
		}
		t.Log(id, id.Certificates[0].NotAfter)
	}
}

func TestOpen24(t *testing.T) {
	begin := time.Now()
	open(t, 24)
	t.Log(time.Since(begin))
}
