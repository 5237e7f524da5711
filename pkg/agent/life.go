// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"sync"
	"time"
)

// attention remembers when a caller was last there.
type attention struct {
	mu      sync.Mutex
	streams int
	last    time.Time
}

// begin notes a caller; done notes that it left.
func (a *attention) begin() (done func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.streams++
	a.last = time.Now()
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.streams--
		a.last = time.Now()
	}
}

// idle is for how long nobody was there.
func (a *attention) idle() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.streams > 0 {
		return 0
	}
	return time.Since(a.last)
}

// until returns when nobody was there for so long, or when ctx ends.
func (a *attention) until(ctx context.Context, limit time.Duration) {
	for {
		left := limit - a.idle()
		if left <= 0 {
			return
		}
		timer := time.NewTimer(left)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}
