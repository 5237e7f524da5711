// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

// Event is one committed write. Its objects are shared by all subscribers and
// must not be changed; custom kinds are in their preferred version.
type Event struct {
	Type   watch.EventType // Added, Modified or Deleted
	Object runtime.Object  // after the write; for Deleted the last state
	Old    runtime.Object  // before it; nil for Added
}

// feed tells subscribers what was committed. Writers deliver themselves: the
// first to come delivers until nothing is left, the others go on. So a lone
// writer finds that everybody has reacted when its write returns, events never
// overtake each other, and a subscriber may write from within its callback.
type feed struct {
	mu      sync.Mutex
	subs    map[schema.GroupVersionResource][]*subscriber
	pending []delivery
	busy    bool
}

type subscriber struct {
	call func(Event)
	gone bool // guarded by feed.mu
}

type delivery struct {
	to    []*subscriber
	event Event
}

// Subscribe calls f after each commit to the resource, in the order of the
// commits, one call at a time and with no lock held, in the goroutine of some
// writer, usually before that writer's call (or HTTP answer) returns. f may use
// the store; what takes long it hands to a goroutine of its own. cancel stops
// it; a call that is under way is not waited for. A gvr that is not served
// never fires.
func (s *Store) Subscribe(gvr schema.GroupVersionResource, f func(Event)) (cancel func()) {
	sub := &subscriber{call: f}
	r, err := s.row(gvr)
	if err != nil {
		return func() {}
	}
	s.feed.mu.Lock()
	defer s.feed.mu.Unlock()
	if s.feed.subs == nil {
		s.feed.subs = map[schema.GroupVersionResource][]*subscriber{}
	}
	key := r.storage()
	// A fresh slice: pending deliveries still read the old one.
	s.feed.subs[key] = append(append([]*subscriber(nil), s.feed.subs[key]...), sub)
	return func() { s.feed.drop(key, sub) }
}

func (f *feed) drop(key schema.GroupVersionResource, sub *subscriber) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sub.gone = true
	var rest []*subscriber
	for _, other := range f.subs[key] {
		if other != sub {
			rest = append(rest, other)
		}
	}
	f.subs[key] = rest
}

func (f *feed) push(key schema.GroupVersionResource, c change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.subs[key]) == 0 {
		return
	}
	ev := Event{Type: c.kind, Object: c.obj}
	if c.prev != nil {
		ev.Old = c.prev
	}
	f.pending = append(f.pending, delivery{f.subs[key], ev})
}

func (f *feed) deliver() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy {
		return
	}
	f.busy = true
	// Deferred, so that a panicking subscriber does not silence the others for good.
	defer func() { f.busy = false }()
	for len(f.pending) > 0 {
		d := f.pending[0]
		f.pending = f.pending[1:]
		for _, sub := range d.to {
			if !sub.gone {
				f.callUnlocked(sub, d.event)
			}
		}
	}
	f.pending = nil
}

func (f *feed) callUnlocked(sub *subscriber, ev Event) {
	f.mu.Unlock()
	defer f.mu.Lock()
	sub.call(ev)
}
