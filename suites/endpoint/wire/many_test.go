// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// TestMany holds that silent endpoints hold up nobody: with one slot of the
// gate, all of them wait at the same time, and meanwhile the others are done.
func TestMany(t *testing.T) {
	t.Parallel()
	const silent, good = 10, 40
	m := newMesh(t)
	mesh := serveTLS(t, m.ca.ServerTLS(m.server), drain)
	arrived := make(chan struct{}, silent)
	hole := serve(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1)) // the ClientHello
		arrived <- struct{}{}
		_, _ = io.Copy(io.Discard, c)
	})
	o := &wire.Observer{Gate: wire.NewGate(1)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var waiting, done sync.WaitGroup
	for range silent {
		waiting.Go(func() {
			s := o.Observe(ctx, wire.Target{Kind: wire.TLS, Address: hole, Timeout: time.Hour})
			if !s.Interrupted {
				t.Errorf("a silent endpoint ended: %+v", s.Layer)
			}
		})
	}
	for range silent {
		<-arrived
	}
	for range good {
		done.Go(func() {
			s := o.Observe(ctx, wire.Target{Kind: wire.TLS, Address: mesh, Identity: m.client, Timeout: time.Hour})
			if s.Layer == nil || s.Layer.Outcome != seen.Accepted {
				t.Errorf("%+v", s)
			}
		})
	}
	done.Wait()
	cancel()
	waiting.Wait()
}

// TestOpenLimit leaves room.
func TestOpenLimit(t *testing.T) {
	if n := wire.OpenLimit(); n < 16 || n > 4096 {
		t.Errorf("%d connections", n)
	}
}
