// SPDX-License-Identifier: Apache-2.0

package live

import (
	"sync"
	"testing"

	"k8s.io/streaming/pkg/httpstream"
)

// alive is a connection that does not end.
type alive struct{ httpstream.Connection }

func (alive) CloseChan() <-chan bool { return nil }

// TestRequestIDs has many streams begin at once: a kubelet pairs the two halves
// of each by its request ID.
func TestRequestIDs(t *testing.T) {
	const streams = 500
	tun := &tunnel{conn: alive{}}
	ids := make([]int, streams)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			id, ok := tun.hold()
			if !ok {
				t.Error("the connection is dead")
			}
			ids[i] = id
		})
	}
	all.Wait()
	seen := map[int]bool{}
	for _, id := range ids {
		if seen[id] {
			t.Errorf("two streams have the request ID %d", id)
		}
		seen[id] = true
	}
}
