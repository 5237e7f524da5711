// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"iter"
	"sync"
	"time"
)

// Bounds of a stream.
const (
	maxOpen     = 4096
	maxYoung    = 128
	reservedFDs = 256 // for everything else that the process has open
)

// grown is how old an observation is when it no longer counts as one that is
// about to be done: it waits for its peer, and others may begin.
const grown = 100 * time.Millisecond

// Stream observes endpoints as they come, at most open of them at once, and
// hands over each as it is done, with its number in the order of targets.
// Only one call of emit runs at a time, and none after one that returned false.
// Then, or when ctx ends, nothing more is begun and what runs is interrupted.
// Stream returns when all that was begun is done and handed over. open 0 means what the limit of file
// descriptors allows. Endpoints that only wait cost no more than their
// connection, so open should be large, and the Gate small.
func (o *Observer) Stream(ctx context.Context, open int, targets iter.Seq[Target], emit func(int, Seen) bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if open <= 0 {
		open = OpenLimit()
	}
	slots, young := make(chan struct{}, open), make(chan struct{}, min(open, maxYoung))
	var wg sync.WaitGroup
	defer wg.Wait()
	var mu sync.Mutex
	n, done := 0, false
	for t := range targets {
		if !enter(ctx, slots) {
			return
		}
		if !enter(ctx, young) {
			return
		}
		number := n
		n++
		wg.Go(func() {
			defer func() { <-slots }()
			leave := sync.OnceFunc(func() { <-young })
			timer := time.AfterFunc(grown, leave)
			got := o.Observe(ctx, t)
			timer.Stop()
			leave()
			mu.Lock()
			defer mu.Unlock()
			if !done && !emit(number, got) {
				done = true
				cancel()
			}
		})
	}
}

func enter(ctx context.Context, slots chan struct{}) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}
