// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// InnerTLS is [TLS] inside the outer tunnel of double HBONE.
var InnerTLS = probe.DefineOn(probe.Meta{
	ID:      "endpoint/inner-tls",
	Title:   "inside the tunnel, version, key exchange and ALPN are agreed on",
	About:   aboutTLS,
	Clause:  spec.TLSNegotiated,
	Causes:  tlsCauses(),
	After:   []string{"endpoint/connect"},
	Applies: "endpoints",
}, met(), inner(judgeTLS))
