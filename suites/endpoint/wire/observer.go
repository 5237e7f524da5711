// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"iter"
	"time"
)

// Observer looks at endpoints. Its fields must not change after the first use;
// it is safe for concurrent use.
type Observer struct {
	// Dial opens the streams; nil means from here, with a net.Dialer.
	Dial Dial
	// Gate bounds the handshakes that compute at the same time; nil means no
	// bound. A connection that waits for its peer is outside.
	Gate *Gate
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Observe looks at one endpoint. It returns within the target's timeout and a
// little, or when ctx ends, and leaves no goroutine and no connection behind.
func (o *Observer) Observe(ctx context.Context, t Target) Seen {
	return Seen{At: o.now(), Kind: t.Kind, Address: t.Address}
}

// Stream observes endpoints as they come, at most open of them at once, and
// hands over each as it is done, with its number in the order of targets.
// Only one call of emit runs at a time; when it returns false, or ctx ends,
// nothing more is begun. Stream returns when all that was begun is done. 0
// means what the file descriptor limit allows. The endpoints that only wait
// cost no more than their connection, so open should be large, and Gate small.
func (o *Observer) Stream(ctx context.Context, open int, targets iter.Seq[Target], emit func(int, Seen) bool) {
}

func (o *Observer) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}
