// SPDX-License-Identifier: Apache-2.0

package istioca

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
)

// Observe returns the certificates that istiod serves at 15012, leaf first,
// without trusting them: which CA it signs with right now, whatever the Secrets
// say. It sends no token and no certificate. Only Dial, Address and ServerName
// are used. Every error is an *Error.
func (c *Client) Observe(ctx context.Context) ([]*x509.Certificate, error) {
	raw, err := c.Dial(ctx, cmp.Or(c.Address, DefaultAddress))
	if err != nil {
		return nil, &Error{Phase: PhaseDial, Err: err}
	}
	defer raw.Close() // only looked at
	conn := tls.Client(raw, &tls.Config{
		ServerName:         cmp.Or(c.ServerName, DefaultServerName),
		InsecureSkipVerify: true, //nolint:gosec // an observation: the judge verifies what was seen
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"h2"},
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, &Error{Phase: PhaseHandshake, Err: err}
	}
	return conn.ConnectionState().PeerCertificates, nil
}
