// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// maxThrough bounds the bytes that are taken out of a tunnel.
const maxThrough = 1 << 20

// settled is how long a tunnel that has answered stays silent before it is
// taken to be done.
const settled = 100 * time.Millisecond

func (w *watch) dialer(ctx context.Context, v *visit) *hbone.Dialer {
	return &hbone.Dialer{
		TLS: w.cfg, Wrap: w.wrap(ctx, v), Now: v.o.now,
		AsGiven: true, AllowAnonymous: true, KeepAlive: -1, Timeout: -1,
	}
}

// hbone opens the outer connection, or the only one, and what is above it.
func (v *visit) hbone(ctx context.Context, w *watch, conn net.Conn) {
	s, err := w.dialer(ctx, v).Handshake(ctx, conn, v.t.Address)
	w.connected(ctx, s, err)
	if s == nil {
		return
	}
	defer func() { w.close(s) }()
	if v.t.To == "" {
		return
	}
	c := w.open(ctx, s, v.t.To)
	if c == nil {
		return
	}
	if v.t.nested() {
		v.inner(ctx, w, c)
		return
	}
	v.through(ctx, c)
}

// inner opens the second layer in a tunnel, which it owns.
func (v *visit) inner(ctx context.Context, outer *watch, c *hbone.Conn) {
	w := v.watch(c.Authority(), v.t.InnerSNI)
	v.seen.Inner = w.layer
	s, err := w.dialer(ctx, v).NestSession(ctx, c)
	w.connected(ctx, s, err)
	if s == nil {
		// What ended the tunnel under it belongs to the outer layer.
		outer.layer.late(err)
		if w.layer.Outcome == NotTLS {
			a := classify(w.head, PromptHello)
			w.layer.Inside = &a
		}
		return
	}
	defer func() { w.close(s) }()
	if c := w.open(ctx, s, cmp.Or(v.t.InnerTo, v.t.To)); c != nil {
		v.through(ctx, c)
	}
}

// late records how the outer layer ended under an inner one.
func (l *Layer) late(err error) {
	if re, ok := errors.AsType[*hbone.ResetError](err); ok && re.Remote {
		l.Reset = seen.ResetName(re.Code)
	}
	l.goneAway(err)
}

func (l *Layer) goneAway(err error) {
	if ga, ok := errors.AsType[*hbone.GoAwayError](err); ok {
		l.GoAway = &GoAway{Code: seen.ResetName(ga.Code), LastStream: ga.LastStreamID, Debug: clip(ga.Debug)}
	}
}

// connected records how opening an HBONE connection ended.
func (w *watch) connected(ctx context.Context, s *hbone.Session, err error) {
	l := w.layer
	l.Connected(s, err)
	w.times()
	if s != nil {
		w.finish(s.ConnectionState())
		return
	}
	l.Error = clip(l.Error)
	l.goneAway(err)
	l.broke(err)
	if l.Outcome == seen.Refused {
		l.AlertBy = Peer
	}
	_, wrongALPN := errors.AsType[*hbone.ALPNError](err)
	he, ok := errors.AsType[*hbone.Error](err)
	over := wrongALPN || ok && he.Phase == hbone.PhaseSettings || w.keys.of("SERVER_TRAFFIC_SECRET_0") != nil
	if !over {
		w.unfinished(ctx, err)
		return
	}
	_, _, end := w.tap.kept()
	switch {
	case l.ours(err):
	case l.Outcome == seen.Closed:
		l.End = end
	case l.Outcome == seen.Unclear && ctx.Err() != nil:
		l.Outcome = Stalled
	}
	w.tap.forget()
}

// close ends a session and records a GOAWAY that came meanwhile.
func (w *watch) close(s *hbone.Session) {
	if w.layer.GoAway == nil {
		w.layer.goneAway(s.Err())
	}
	_ = s.Close()
	w.layer.Received = w.tap.count()
}

// open sends the CONNECT and records the answer.
func (w *watch) open(ctx context.Context, s *hbone.Session, authority string) *hbone.Conn {
	l := w.layer
	l.Authority = authority
	begin := time.Now()
	c, err := s.Open(ctx, authority, nil)
	l.CrossMS = ms(time.Since(begin))
	l.Answered(c, err)
	l.Error, l.Baggage = clip(l.Error), clip(l.Baggage)
	if err == nil {
		_, header := c.Response()
		l.Headers = bounded(header)
		return c
	}
	l.goneAway(err)
	l.broke(err)
	if he, ok := errors.AsType[*hbone.Error](err); ok {
		l.Headers = bounded(he.Header)
	}
	if l.Status == 0 {
		l.Refusal = l.Error
	}
	if errors.Is(err, hbone.ErrConnClosed) && l.GoAway == nil && !ownTLS(err) {
		_, _, end := w.tap.kept()
		l.End = cmp.Or(end, EndNotify) // crypto/tls reads no further than close_notify
	}
	return nil
}

// bounded is a header as far as it is fit for a report.
func bounded(h http.Header) map[string][]string {
	if len(h) == 0 {
		return nil
	}
	out := map[string][]string{}
	names, size, n := make([]string, 0, len(h)), 0, 0
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range h[name] {
			key, value := clip(name), clip(value)
			size += len(key) + len(value)
			if n++; n > maxHeaders || size > maxHeaderBytes {
				return out
			}
			out[key] = append(out[key], value)
		}
	}
	return out
}

// through sends the target's bytes into a tunnel and takes out what comes back.
func (v *visit) through(ctx context.Context, c *hbone.Conn) {
	t := &Tunnel{}
	v.seen.Tunnel = t
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
	defer stop()
	defer func() { _ = c.Close() }()
	quiet := cmp.Or(v.t.Quiet, DefaultQuiet)
	begin := time.Now()
	if len(v.t.Send) > 0 {
		_ = c.SetWriteDeadline(time.Now().Add(quiet))
		n, err := c.Write(v.t.Send)
		t.Sent = int64(n)
		if err != nil {
			t.Error = clip(err.Error())
		}
	} else {
		// An application that waits for its client learns at once that there is
		// nothing to wait for; one that speaks first has its say all the same.
		t.HalfClosed = c.CloseWrite() == nil
	}
	head, err := t.take(ctx, c, begin, quiet)
	if errors.Is(err, os.ErrDeadlineExceeded) && !t.HalfClosed && ctx.Err() == nil {
		t.HalfClosed = c.CloseWrite() == nil
		var more []byte
		more, err = t.take(ctx, c, begin, quiet)
		head = append(head, more...)
	}
	t.closed(err)
	if len(head) > 0 {
		t.Data = escape(head)
		a := classify(head, v.prompt())
		t.Answer = &a
	}
}

// take reads until the tunnel ends or falls silent, and returns the beginning.
func (t *Tunnel) take(ctx context.Context, c *hbone.Conn, begin time.Time, quiet time.Duration) (head []byte, err error) {
	buf := make([]byte, 16<<10)
	wait := quiet
	for t.Received < maxThrough {
		_ = c.SetReadDeadline(time.Now().Add(wait))
		if ctx.Err() != nil {
			return head, context.Cause(ctx)
		}
		n, err := c.Read(buf)
		if n > 0 && t.Received == 0 {
			t.FirstMS = ms(time.Since(begin))
		}
		t.Received += int64(n)
		head = append(head, buf[:min(n, maxPlain-min(maxPlain, len(head)))]...)
		if err != nil {
			return head, err
		}
		if !t.HalfClosed {
			wait = min(quiet, settled)
		}
	}
	return head, nil
}

// closed names how the tunnel ended.
func (t *Tunnel) closed(err error) {
	re, reset := errors.AsType[*hbone.ResetError](err)
	ga, away := errors.AsType[*hbone.GoAwayError](err)
	switch {
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		t.Closed = "open"
		return
	case errors.Is(err, io.EOF):
		t.Closed = "END_STREAM"
		return
	case reset:
		t.Closed = "RST_STREAM " + seen.ResetName(re.Code)
	case away:
		t.Closed = "GOAWAY " + seen.ResetName(ga.Code)
	default:
		t.Closed = "connection closed"
	}
	t.Error = clip(err.Error())
}
