// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/meshprobe/meshprobe/suites/seen"
)

// Control is what the same endpoint made of the client's own certificate, right
// after it refused another one or none: without it a rejection may have any
// reason.
type Control struct {
	Identity string       `json:"identity"` // SPIFFE ID of the certificate, or what else names it
	Outcome  seen.Outcome `json:"outcome"`  // of the same layer as the rejection
	Proof    string       `json:"proof,omitempty"`
	Alert    string       `json:"alert,omitempty"` // sent by the peer, RFC 8446 name
	Early    bool         `json:"early,omitempty"` // it ended before our handshake was over
	End      End          `json:"end,omitempty"`   // with Closed: how
	Error    string       `json:"error,omitempty"`
	TookMS   float64      `json:"tookMs,omitempty"`
}

// errLate says that nothing was left of the time of an endpoint.
var errLate = errors.New("no time was left for it")

// controlled says that what came of the observation takes a control to mean
// something: a certificate that is not the client's own, or none, was not
// accepted, and there is one of its own to show.
func (v *visit) controlled() bool {
	l := v.seen.Last()
	if v.t.Identity == nil || v.t.Client != None && v.t.Client != Foreign || l == nil || v.seen.Answer.Protocol != ProtocolTLS {
		return false
	}
	return l.Outcome == seen.Refused || l.Outcome == seen.Closed || l.Outcome == seen.NotRefused
}

// control shows the endpoint the client's own certificate, in what is left of
// its time, and goes as far as the other one came.
func (v *visit) control(ctx context.Context) {
	if !v.controlled() {
		return
	}
	t := v.t
	t.Client, t.NoSniff = Own, true
	inner := v.seen.Inner != nil
	if !inner {
		t.To = ""
	}
	c := &visit{o: v.o, t: t, id: t.Identity, seen: Seen{Kind: t.Kind, Address: t.Address}, clock: v.clock}
	begin := time.Now()
	if ctx.Err() == nil {
		c.look(ctx)
	}
	out := &Control{Identity: clip(t.Identity.ID), Outcome: seen.Unclear, TookMS: ms(time.Since(begin))}
	v.seen.Control, v.seen.Connections = out, v.seen.Connections+c.seen.Connections
	l := c.seen.Layer
	if inner && l != nil && l.Outcome.OK() {
		l = c.seen.Inner
	}
	switch {
	case l != nil:
		out.Outcome, out.Proof, out.Alert, out.Early, out.End, out.Error = l.Outcome, l.Proof, l.Alert, l.Early, l.End, l.Error
	case c.seen.TCP.Outcome == TCPConnected:
		out.Error = cmp.Or(c.seen.Layer.Refusal, c.seen.Layer.Error, "the tunnel did not open")
	case c.seen.TCP.Outcome != "":
		out.Outcome, out.Error = seen.Unreachable, c.seen.TCP.Error
	default:
		out.Error = errLate.Error()
	}
}
