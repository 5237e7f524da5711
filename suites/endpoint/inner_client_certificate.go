// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// InnerClientCertificate is [ClientCertificate] inside the outer tunnel of double HBONE.
var InnerClientCertificate = probe.DefineOn(probe.Meta{
	ID:      "endpoint/inner-client-certificate",
	Title:   "inside the tunnel, the server asks for a client certificate",
	About:   aboutClient,
	Clause:  spec.IstioClientCertRequired,
	Causes:  clientCauses(),
	After:   []string{"endpoint/inner-tls"},
	Applies: "endpoints",
}, met(), inner(judgeClientCertificate))
