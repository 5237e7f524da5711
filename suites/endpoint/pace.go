// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"sync"
	"time"

	"github.com/meshprobe/meshprobe/suites/seen"
)

// Bounds of looking at many endpoints at once.
const (
	beginning = 128                    // observations that may begin at the same time
	begun     = 100 * time.Millisecond // after which one no longer counts as beginning: it waits for its peer
)

// Pace keeps thousands of observations from beginning all at once, which would
// cost connections and teach nothing. Those that wait for their peers do not
// count. A nil Pace holds nobody up.
type Pace struct{ young chan struct{} }

// NewPace makes a pace for the observations of one run.
func NewPace() *Pace { return &Pace{young: make(chan struct{}, beginning)} }

// enter waits for a turn; what it returns gives it back.
func (p *Pace) enter(ctx context.Context) (leave func(), err error) {
	if p == nil {
		return func() {}, nil
	}
	select {
	case p.young <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	release := sync.OnceFunc(func() { <-p.young })
	timer := time.AfterFunc(begun, release)
	return func() {
		timer.Stop()
		release()
	}, nil
}

// Succeeded says that what was asked for came about: the expectation where
// there was one, a refusal where the client was one to be refused, acceptance
// otherwise. It says nothing of trust.
func (m Met) Succeeded() bool {
	if m.Asked.Expect != nil || m.Asked.Negative {
		return m.asExpected()
	}
	return m.came().What == ExpectAccept
}

// HandshakeMS is how long it took, in milliseconds: to connect, to shake hands
// in every layer, and to cross the tunnels.
func (m Met) HandshakeMS() float64 {
	sum := m.TCP.ConnectMS
	for _, p := range []part{m.outerPart(), m.innerPart()} {
		if l := p.layer; l != nil && l.Outcome != seen.Unreachable {
			sum += l.TookMS + l.CrossMS
		}
	}
	return sum
}
