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
	beginning = 64                     // observations that may begin at the same time
	begun     = 100 * time.Millisecond // after which one may no longer count as beginning: it waits for its peer
	patience  = 4                      // how many times longer than others it must take for that
)

// Pace keeps thousands of observations from beginning all at once, which would
// cost connections and memory and teach nothing. Those that wait for their
// peers do not count: those that take much longer than the ones that came to an
// answer, so that a slow machine, or a slow network, slows the beginning down.
// A nil Pace holds nobody up.
type Pace struct {
	young chan struct{}

	mu    sync.Mutex
	usual time.Duration // moving average of the observations that came to an answer
}

// NewPace makes a pace for the observations of one run.
func NewPace() *Pace { return &Pace{young: make(chan struct{}, beginning)} }

// enter waits for a turn; what it returns gives it back, and is told whether
// the endpoint answered.
func (p *Pace) enter(ctx context.Context) (leave func(answered bool), err error) {
	if p == nil {
		return func(bool) {}, nil
	}
	select {
	case p.young <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	release := sync.OnceFunc(func() { <-p.young })
	begin := time.Now()
	timer := p.waiting(begin, release)
	return func(answered bool) {
		timer()
		release()
		if answered {
			p.took(time.Since(begin))
		}
	}, nil
}

// waiting calls release once an observation takes much longer than others do,
// by what is known of those when the time is up. It returns what ends that.
func (p *Pace) waiting(begin time.Time, release func()) (stop func()) {
	var mu sync.Mutex
	var timer *time.Timer
	look := func() {
		mu.Lock()
		defer mu.Unlock()
		if left := p.longer() - time.Since(begin); left > 0 && timer != nil {
			timer.Reset(left)
			return
		}
		release()
	}
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(p.longer(), look)
	return func() {
		mu.Lock()
		defer mu.Unlock()
		timer.Stop()
		timer = nil
	}
}

// longer is how old an observation is that no longer counts as beginning.
func (p *Pace) longer() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(begun, patience*p.usual)
}

// took learns from an observation that came to an answer.
func (p *Pace) took(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.usual == 0 {
		p.usual = d
		return
	}
	p.usual += (d - p.usual) / 16
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
