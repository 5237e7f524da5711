// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// Observer looks at endpoints. Its fields must not change after the first use;
// it is safe for concurrent use and must not be copied.
type Observer struct {
	// Dial opens the streams; nil means from here, with a net.Dialer. It closes
	// what it opened when ctx ends before it returns.
	Dial Dial
	// Gate bounds the handshakes that compute at the same time; nil means no
	// bound. A connection that waits for its peer is outside.
	Gate *Gate
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	mu        sync.Mutex
	strangers map[string]*cluster.Identity // foreign identities, by SPIFFE ID
}

// strangerID is whom a foreign certificate names where there is no identity to
// imitate.
const strangerID = "spiffe://cluster.local/ns/meshprobe/sa/foreign"

// maxStrangers bounds how many foreign identities are kept.
const maxStrangers = 64

func (o *Observer) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

// identity is what the client shows, nil for an empty certificate.
func (o *Observer) identity(t Target) (*cluster.Identity, error) {
	switch t.Client {
	case None:
		return nil, nil //nolint:nilnil // none, as asked
	case Foreign:
		return o.stranger(t.Identity)
	case Own:
	}
	return t.Identity, nil
}

// stranger makes a foreign identity, once for each that it imitates.
func (o *Observer) stranger(like *cluster.Identity) (*cluster.Identity, error) {
	name := strangerID
	if like != nil {
		name = cmp.Or(like.ID, name)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if id := o.strangers[name]; id != nil {
		return id, nil
	}
	id, err := seen.Foreign(name, o.now())
	if err != nil {
		return nil, err
	}
	if o.strangers == nil || len(o.strangers) >= maxStrangers {
		o.strangers = map[string]*cluster.Identity{}
	}
	o.strangers[name] = id
	return id, nil
}

// visit is one observation in progress.
type visit struct {
	o     *Observer
	t     Target
	id    *cluster.Identity
	seen  Seen
	clock *budget
}

// Observe looks at one endpoint. It returns within the target's timeout and a
// little, or when ctx ends, and leaves no goroutine and no connection behind.
// Time spent waiting at the Gate is not the endpoint's.
func (o *Observer) Observe(ctx context.Context, t Target) Seen {
	begin := time.Now()
	v := &visit{o: o, t: t, seen: Seen{At: o.now(), Kind: t.Kind, Address: t.Address, Client: clientName(t)}}
	id, err := o.identity(t)
	if err != nil {
		v.seen.TCP = TCP{Outcome: TCPLocal, Error: clip(err.Error())}
		return v.seen
	}
	v.id = id
	inner, clock, stop := spend(ctx, cmp.Or(t.Timeout, DefaultTimeout))
	defer stop()
	v.clock = clock
	v.look(inner)
	v.control(inner)
	v.seen.TotalMS = ms(time.Since(begin))
	v.seen.Interrupted = ctx.Err() != nil
	return v.seen
}

func clientName(t Target) string {
	if t.Client == Foreign || t.Client == Own && t.Identity != nil || t.Client == "" && t.Identity != nil {
		return string(cmp.Or(t.Client, Own))
	}
	return string(None)
}

// look makes the connections, one after the other.
func (v *visit) look(ctx context.Context) {
	conn := v.tcp(ctx)
	if conn == nil {
		return
	}
	attempt, silence, stop := v.listening(ctx)
	defer stop()
	w := v.watch(v.t.Address, v.t.SNI)
	w.tap.sent = silence
	v.seen.Layer = w.layer
	if v.t.tunnels() {
		v.hbone(attempt, w, conn)
	} else {
		v.tls(attempt, w, conn)
	}
	v.seen.Answer = w.answer()
	if mute := v.seen.Answer.Protocol; mute == ProtocolSilence || mute == ProtocolClosed {
		v.sniff(ctx)
	}
}

// listening bounds the wait for the first byte: to half of the time, so that
// the other half is left to ask in other ways. silence is to be called when the
// ClientHello is written, and tells when to look whether anything came.
func (v *visit) listening(ctx context.Context) (_ context.Context, silence func(*tap), stop func()) {
	if v.t.NoSniff {
		return ctx, func(*tap) {}, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var timer *time.Timer
	silence = func(t *tap) {
		timer = time.AfterFunc(v.clock.remaining()/2, func() {
			if t.count() == 0 {
				cancel(errSilent)
			}
		})
	}
	return ctx, silence, func() {
		if timer != nil {
			timer.Stop()
		}
		cancel(nil)
	}
}
