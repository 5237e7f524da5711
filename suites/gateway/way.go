// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"strings"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// disabled is why a gateway may not know a name that it ought to: the edge into
// the cluster fails for it.
const disabled = "mutual TLS is disabled at the destination, so that its gateway does not pass it on"

// way says what kept the caller from reaching the gateway. That a caller was
// not sent there is no matter of the gateway: the edges and the discovery
// suite say why.
func way(g seen.Gateway) (probe.Finding, bool) {
	if g.Endpoint == nil || !g.Endpoint.Gateway {
		return probe.Skipping("istiod of the calling cluster does not send calls to the gateway"), true
	}
	if g.NoCaller != "" {
		return probe.Skipping("the CA of the calling cluster gives its workloads no certificate"), true
	}
	return verdict.Way(g.Edge)
}

// named is whom a certificate names: its SPIFFE ID, or that it has none.
func named(h seen.Handshake) string {
	if ids := h.URIs(); len(ids) > 0 {
		return strings.Join(ids, " + ")
	}
	leaf := h.Chain.Leaf()
	if leaf == nil {
		return "no certificate"
	}
	return seen.Subject(leaf) + ", no SPIFFE ID"
}
