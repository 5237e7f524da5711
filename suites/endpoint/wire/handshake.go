// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"cmp"
	"context"
	"net"
	"time"

	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// patience is how long silence after a handshake must last before it means
// "not refused", as in package seen.
const patience = 500 * time.Millisecond

// tls makes one handshake and finds out what the server thinks of the client.
func (v *visit) tls(ctx context.Context, w *watch, conn net.Conn) {
	floor := patience
	if len(v.t.Send) > 0 {
		floor = cmp.Or(v.t.Quiet, DefaultQuiet)
	}
	got := hbone.Acceptor{TLS: w.cfg, Send: v.t.Send, Floor: floor, Timeout: -1}.Try(ctx, w.wrap(ctx, v)(conn))
	w.times()
	l := w.layer
	l.Outcome, l.Proof = ended(got.Verdict), string(got.Proof)
	if got.Verdict == hbone.VerdictRefused {
		l.Alert, l.AlertBy = hbone.AlertName(got.Alert), Peer
	}
	if got.InHandshake {
		w.unfinished(ctx, got.Err)
		return
	}
	w.finish(got.State)
	_, _, end := w.tap.kept()
	switch {
	case l.Outcome == seen.Closed:
		l.End = end
	case got.Proof == hbone.ProofCloseNotify:
		l.End = EndNotify
	case len(v.t.Send) > 0 && len(got.Data) == 0 && end != EndTimeout:
		l.End = end // what an L4 policy does to the first byte
	}
	if got.Err != nil && !l.Outcome.OK() {
		l.Error = clip(got.Err.Error())
	}
	if !l.ours(got.Err) && l.Outcome == seen.Unclear && ctx.Err() != nil {
		l.Outcome = Stalled
	}
	if len(got.Data) > 0 {
		l.Data = escape(got.Data)
		a := classify(got.Data, v.prompt())
		l.Inside = &a
	}
}

// prompt is what bytes of an application are an answer to.
func (v *visit) prompt() Prompt {
	if len(v.t.Send) > 0 {
		return PromptData
	}
	return PromptNothing
}
