// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"golang.org/x/net/http2"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/hbone"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// Layer is one layer of HBONE: the TLS handshake, the peer's SETTINGS and one
// CONNECT.
type Layer struct {
	Handshake
	Settings  map[string]uint32 `json:"settings,omitempty"` // as the peer sent them, by RFC 9113 name
	Authority string            `json:"authority,omitempty"`
	Status    int               `json:"status,omitempty"`  // of the CONNECT, 0 where none came
	Reset     string            `json:"reset,omitempty"`   // RST_STREAM code in place of, or after, a status
	Baggage   string            `json:"baggage,omitempty"` // of the response
}

// Dialer is an HBONE dialer that takes any server and records it in the layer.
func (l *Layer) dialer(env *probe.Env, id *cluster.Identity, dial Dial) *hbone.Dialer {
	return &hbone.Dialer{
		TLS: l.Config(env.Now, Hello{ALPN: []string{"h2"}, Identity: id}),
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dial(ctx)
		},
		KeepAlive:      -1,
		AllowAnonymous: true,
		Now:            env.Now,
	}
}

// Session opens an HBONE connection and records it. The session is nil where
// it failed; the caller closes it.
func (l *Layer) Session(ctx context.Context, env *probe.Env, id *cluster.Identity, address string, dial Dial) *hbone.Session {
	l.Address, l.Offered = address, []string{"h2"}
	s, err := l.dialer(env, id, dial).Connect(ctx, address)
	l.Connected(s, err)
	return s
}

// Inner opens the inner connection of double HBONE through an open tunnel.
func (l *Layer) Inner(ctx context.Context, env *probe.Env, id *cluster.Identity, outer *hbone.Conn) *hbone.Session {
	l.Address, l.Offered = outer.Authority(), []string{"h2"}
	s, err := l.dialer(env, id, nil).NestSession(ctx, outer)
	l.Connected(s, err)
	return s
}

// Connected records how opening a connection ended.
func (l *Layer) Connected(s *hbone.Session, err error) {
	if err == nil {
		l.Outcome, l.Proof = Accepted, "SETTINGS"
		l.Settings = map[string]uint32{}
		for _, set := range s.SettingsFrame() {
			l.Settings[set.ID.String()] = set.Val
		}
		return
	}
	l.failed(err)
}

// failed sorts a failure before the CONNECT into the outcomes.
func (l *Layer) failed(err error) {
	l.Error, l.Reset = err.Error(), resetCode(err) // of the stream around an inner layer
	he, ok := errors.AsType[*hbone.Error](err)
	alert, refused := hbone.RemoteAlert(err)
	switch {
	case ok && he.Phase == hbone.PhaseDial:
		l.unreachable(he.Err)
	case refused:
		l.Outcome, l.Alert = Refused, hbone.AlertName(alert)
	case errors.Is(err, hbone.ErrConnClosed), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		l.Outcome = Closed
	default:
		l.Outcome = Unclear
	}
}

// Connect sends one CONNECT over an open session and records the answer; the
// caller closes the tunnel, which is nil where there is none.
func (l *Layer) Connect(ctx context.Context, s *hbone.Session, authority string) *hbone.Conn {
	l.Authority = authority
	c, err := s.Open(ctx, authority, nil)
	l.Answered(c, err)
	return c
}

// Answered records the answer to a CONNECT, which opened c or failed with err.
func (l *Layer) Answered(c *hbone.Conn, err error) {
	if err == nil {
		status, header := c.Response()
		l.Status, l.Baggage = status, header.Get("baggage")
		return
	}
	l.Error = err.Error()
	if he, ok := errors.AsType[*hbone.Error](err); ok {
		l.Status = he.Status
	}
	l.Reset = resetCode(err)
}

func resetCode(err error) string {
	if re, ok := errors.AsType[*hbone.ResetError](err); ok && re.Remote {
		return ResetName(re.Code)
	}
	return ""
}

// ResetName is an HTTP/2 error code as RFC 9113 §7 spells it.
func ResetName(code http2.ErrCode) string { return strings.ToUpper(code.String()) }
