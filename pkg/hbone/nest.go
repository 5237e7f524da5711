// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"context"
	"crypto/tls"
	"net/http"
)

// Nest opens the inner tunnel of double HBONE: a second mutual TLS through
// outer, ending at the destination's workload or waypoint and not at the
// gateway, and a second CONNECT in it (ztunnel src/proxy/outbound.rs). innerTLS
// is as [Dialer.TLS]; the identity it has to expect is the workload's. ztunnel
// sends the same authority, host name and port of the service, in both layers,
// and "x-forwarded-network" with the inner one.
//
// Nest owns outer: it is closed when Nest fails and with the returned Conn,
// whose [Conn.Outer] it is. Errors are [*Error] of [LayerInner]; if the outer
// tunnel broke, they wrap its error.
func Nest(ctx context.Context, outer *Conn, innerTLS *tls.Config, authority string, header http.Header) (*Conn, error) {
	return (&Dialer{TLS: innerTLS}).Nest(ctx, outer, authority, header)
}

// Nest is as the function [Nest], with the receiver's TLS, settings and
// timeouts for the inner layer. The inner connection is never pooled.
func (d *Dialer) Nest(ctx context.Context, outer *Conn, authority string, header http.Header) (*Conn, error) {
	s, err := d.NestSession(ctx, outer)
	if err != nil {
		return nil, err
	}
	c, err := s.Open(ctx, authority, header)
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	c.owner = true
	return c, nil
}

// NestSession is the inner layer up to the inner peer's SETTINGS. It owns
// outer as [Nest] does: closing the session closes it. Closing a Conn does not.
func (d *Dialer) NestSession(ctx context.Context, outer *Conn) (*Session, error) {
	ctx, cancel := withTimeout(ctx, d.timeout())
	defer cancel()
	return d.handshake(ctx, outer, outer.authority, outer)
}
