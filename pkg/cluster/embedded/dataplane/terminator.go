// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"crypto/tls"
	"net"
)

// Terminator is a load balancer with TLS of its own in front of a gateway: it
// proves itself with a certificate that is none of the mesh's, asks for none,
// and hands on what it decrypts. It is what must not stand there.
type Terminator struct {
	Certificate tls.Certificate
	Dial        Dial // to the gateway
	Limits      Limits
}

// Serve accepts connections until ctx is done (it closes ln and returns nil) or
// ln fails. It returns after every connection has ended.
func (b *Terminator) Serve(ctx context.Context, ln net.Listener) error {
	config := &tls.Config{Certificates: []tls.Certificate{b.Certificate}, MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true}
	return serve(ctx, ln, b.Limits, func(ctx context.Context, c net.Conn, set *conns) {
		until(c, b.Limits.handshake())
		secure := tls.Server(c, config)
		if !shake(secure, c) {
			return
		}
		up, err := open(ctx, b.Dial, b.Limits)
		if err != nil || !set.add(up) {
			return
		}
		defer set.drop(up)
		bridge(secure, up)
	})
}
