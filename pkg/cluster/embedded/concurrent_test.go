// SPDX-License-Identifier: Apache-2.0

package embedded_test

import (
	"sync"
	"testing"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// TestConcurrentUse asks everything at once while everything restarts. Calls
// may fail meanwhile; afterwards all of them work.
func TestConcurrentUse(t *testing.T) {
	set := open(t, 2)
	federate(t, set)
	var users sync.WaitGroup
	done := make(chan struct{})
	for e := range set.Edges() {
		users.Go(func() {
			from, _ := set.Cluster(e.From.Cluster)
			ids, _ := cluster.As[cluster.Identities](from)
			resolver, _ := cluster.As[cluster.Resolver](from)
			for {
				select {
				case <-done:
					return
				default:
				}
				id, err := ids.Identity(t.Context(), e.From.Namespace, e.From.Name)
				if err != nil {
					continue
				}
				found, err := resolver.Resolve(t.Context(), cluster.Workload{Ref: e.From}, e.To.Name, 9080)
				if err != nil {
					t.Error(err)
				}
				for _, ep := range found {
					_, _ = call(t.Context(), from, id, ep)
				}
				if _, err := from.Workloads(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, c := range set.Clusters {
		restartAll(t, set, c)
	}
	close(done)
	users.Wait()
	for e := range set.Edges() {
		from, _ := set.Cluster(e.From.Cluster)
		ep, _ := endpoint(t, set, e)
		if _, err := call(t.Context(), from, identity(t, set, e.From), ep); err != nil {
			t.Errorf("%s (%s): %v", e, e.DataPlane, err)
		}
	}
}
