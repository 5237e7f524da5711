// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"context"
	"io"
	"iter"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// mixed yields n targets of which each tenth is silent.
func mixed(m *mesh, n int, good, silent string, timeout time.Duration) iter.Seq[wire.Target] {
	return func(yield func(wire.Target) bool) {
		for i := range n {
			t := wire.Target{Kind: wire.TLS, Address: good, Identity: m.client, Timeout: 10 * timeout}
			if i%10 == 3 {
				t.Address, t.Timeout, t.NoSniff = silent, timeout, true
			}
			if !yield(t) {
				return
			}
		}
	}
}

// TestStream holds that silent endpoints hold up nobody: with one slot of the
// gate, all of them wait at the same time.
func TestStream(t *testing.T) {
	t.Parallel()
	const n, timeout = 100, 3 * time.Second
	m := newMesh(t)
	good := serveTLS(t, m.ca.ServerTLS(m.server), drain)
	silent := serve(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	o := &wire.Observer{Gate: wire.NewGate(1)}
	var numbers []int
	quick := 0
	begin := time.Now()
	o.Stream(t.Context(), 50, mixed(m, n, good, silent, timeout), func(i int, s wire.Seen) bool {
		numbers = append(numbers, i)
		want := seen.Accepted
		if i%10 == 3 {
			want = wire.Stalled
		} else if !slices.ContainsFunc(numbers, func(i int) bool { return i%10 == 3 }) {
			quick++
		}
		if s.Layer == nil || s.Layer.Outcome != want {
			t.Errorf("endpoint %d: %+v", i, s.Layer)
		}
		return true
	})
	// One after the other, the silent ones alone would take ten timeouts.
	if took := time.Since(begin); took > 5*timeout {
		t.Errorf("took %v", took)
	}
	if quick == 0 {
		t.Error("nobody was done before the first silent endpoint")
	}
	slices.Sort(numbers)
	if len(numbers) != n || numbers[0] != 0 || numbers[n-1] != n-1 || len(slices.Compact(numbers)) != n {
		t.Errorf("%d results: %v", len(numbers), numbers)
	}
}

// TestStreamStops ends early: by its consumer, and by its context.
func TestStreamStops(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	good := serveTLS(t, m.ca.ServerTLS(m.server), drain)
	silent := serve(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	o := &wire.Observer{Gate: wire.NewGate(2)}
	calls := 0
	o.Stream(t.Context(), 4, mixed(m, 1<<30, good, silent, time.Hour), func(int, wire.Seen) bool {
		calls++
		return calls < 3
	})
	if calls != 3 {
		t.Errorf("%d calls, want 3", calls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls, interrupted := 0, 0
	o.Stream(ctx, 4, mixed(m, 1<<30, good, silent, time.Hour), func(_ int, s wire.Seen) bool {
		if calls++; calls == 5 {
			cancel()
		}
		if s.Interrupted {
			interrupted++
		}
		return true
	})
	if calls > 5+4 || interrupted == 0 {
		t.Errorf("%d calls, %d interrupted", calls, interrupted)
	}
}
