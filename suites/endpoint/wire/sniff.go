// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"time"
)

// sniffWait bounds how long one more connection is listened to.
const sniffWait = 2 * time.Second

// harmless is a request that no server acts on.
const harmless = "HEAD / HTTP/1.1\r\nHost: meshprobe\r\nConnection: close\r\n\r\n"

// sniff asks an endpoint that gave no answer to a ClientHello in other ways:
// what does it say by itself, and what to HTTP. The first that answers decides.
func (v *visit) sniff(ctx context.Context) {
	if v.t.NoSniff {
		return
	}
	for _, ask := range []struct {
		prompt Prompt
		say    string
		share  time.Duration // of what is left
	}{{PromptNothing, "", 2}, {PromptHTTP, harmless, 1}} {
		wait := min(sniffWait, v.clock.remaining()/ask.share)
		if wait <= 0 || ctx.Err() != nil {
			return
		}
		if heard := v.hear(ctx, wait, ask.say); len(heard) > 0 {
			end := v.seen.Answer.End
			v.seen.Answer = classify(heard, ask.prompt)
			v.seen.Answer.End = end
			return
		}
	}
}

// hear opens one more connection, says something or nothing, and returns what
// comes back, nil where nothing does.
func (v *visit) hear(ctx context.Context, wait time.Duration, say string) []byte {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	conn, err := v.connect(ctx)
	if err != nil {
		return nil
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	t := &tap{Conn: conn}
	if say != "" {
		if _, err := t.Write([]byte(say)); err != nil {
			return nil
		}
	}
	_, _ = t.Read(make([]byte, maxPlain))
	in, _, _ := t.kept()
	return in
}
