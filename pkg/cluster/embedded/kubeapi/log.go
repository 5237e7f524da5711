// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	"fmt"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"
)

// window is how many events of one resource a watch may lag behind.
const window = 1024

// change is one committed write. Its objects are never written again.
type change struct {
	kind watch.EventType // Added, Modified, Deleted
	obj  object
	prev object // before a Modified or Deleted
	rev  uint64
}

// history is the recent past of one resource. Watches read it at their own
// pace, so that a slow watch costs a 410 to itself and nothing to others.
type history struct {
	mu      sync.Mutex
	changes []change      // ascending rev
	floor   uint64        // rev of the newest change that was dropped
	more    chan struct{} // closed when changes grow
}

func newHistory(floor uint64) *history {
	return &history{floor: floor, more: make(chan struct{})}
}

func (h *history) add(c change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changes = append(h.changes, c)
	// Trimming half at once keeps the cost of a write constant.
	if len(h.changes) > 2*window {
		cut := len(h.changes) - window
		h.floor = h.changes[cut-1].rev
		h.changes = append([]change(nil), h.changes[cut:]...)
	}
	close(h.more)
	h.more = make(chan struct{})
}

// after returns what was committed after rev and a channel that is closed when
// there is more.
func (h *history) after(rev uint64) ([]change, <-chan struct{}, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if rev < h.floor {
		return nil, nil, apierrors.NewResourceExpired(
			fmt.Sprintf("too old resource version: %d (%d)", rev, h.floor))
	}
	// Most readers are at the end, so look from there.
	i := len(h.changes)
	for i > 0 && h.changes[i-1].rev > rev {
		i--
	}
	return h.changes[i:len(h.changes):len(h.changes)], h.more, nil
}
