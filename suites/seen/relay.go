// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// attempts is how often a handshake through a relay is made until it ends with
// a word of the peer.
const attempts = 4

// firstWord is how long a peer behind a relay may take to refuse before more is
// sent to it; twice as long at each further attempt.
const firstWord = 200 * time.Millisecond

// relayed makes a handshake again that ended without a word of the peer, where
// the stream went through a relay: a port-forward forgets what was said right
// before a reset, such as an alert. A word that arrives once was said.
func relayed(dial Dial, once func(Dial) Handshake) Handshake {
	watched, through := watch(dial)
	h := once(watched)
	for range attempts - 1 {
		if !through.Load() || h.Outcome != Closed && h.Outcome != NotRefused {
			break
		}
		h = once(watched)
	}
	return h
}

// watch notes whether what dial opens goes through a relay.
func watch(dial Dial) (Dial, *atomic.Bool) {
	through := &atomic.Bool{}
	return func(ctx context.Context) (net.Conn, error) {
		conn, err := dial(ctx)
		if r, ok := conn.(cluster.Relayed); ok && err == nil {
			through.Store(r.Relayed())
		}
		return conn, err
	}, through
}
