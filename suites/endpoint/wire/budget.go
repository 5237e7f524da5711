// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// errTimeout says that the endpoint used up its time.
type errTimeout struct{ d time.Duration }

func (e errTimeout) Error() string        { return "nothing more within " + e.d.String() }
func (e errTimeout) Timeout() bool        { return true }
func (e errTimeout) Is(target error) bool { return target == context.DeadlineExceeded }

// errSilent ends a handshake to which nothing at all came back, with time left
// to ask in another way.
var errSilent = fmt.Errorf("no answer to the ClientHello: %w", context.DeadlineExceeded)

// budget is the time that an observation may take of its endpoint. It stands
// still while the observation waits for its own side.
type budget struct {
	mu     sync.Mutex
	total  time.Duration
	left   time.Duration
	since  time.Time
	paused int
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

// spend gives a context that ends when the budget is used up. stop must be
// called.
func spend(ctx context.Context, total time.Duration) (_ context.Context, _ *budget, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	b := &budget{total: total, left: total, since: time.Now(), cancel: cancel}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timer = time.AfterFunc(total, b.out)
	return ctx, b, func() {
		b.timer.Stop()
		cancel(nil)
	}
}

func (b *budget) out() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.paused == 0 {
		b.cancel(errTimeout{b.total})
	}
}

func (b *budget) pause() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.paused++; b.paused == 1 {
		b.timer.Stop()
		b.left -= time.Since(b.since)
	}
}

func (b *budget) resume() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.paused--; b.paused == 0 {
		b.since = time.Now()
		b.timer.Reset(max(b.left, 0))
	}
}

// remaining is what is left.
func (b *budget) remaining() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.paused > 0 {
		return max(b.left, 0)
	}
	return max(b.left-time.Since(b.since), 0)
}
