// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"cmp"
	"time"
)

// Limits bound what the peers of one listener may cost. A zero field means its
// default.
type Limits struct {
	Handshake   time.Duration // from accept to the end of the TLS handshake; default 10 s
	Connect     time.Duration // opening the connection behind a gateway; default 10 s, as ztunnel and Envoy
	Connections int           // open at once, further ones are closed at once; default 1024
}

func (l Limits) handshake() time.Duration { return cmp.Or(l.Handshake, 10*time.Second) }
func (l Limits) connect() time.Duration   { return cmp.Or(l.Connect, 10*time.Second) }
func (l Limits) connections() int         { return cmp.Or(l.Connections, 1024) }

// lingering bounds how long a refused peer may take to read why.
const lingering = time.Second
