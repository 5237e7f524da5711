// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"slices"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// chain is what a sidecar's listener does with a connection.
type chain uint8

const (
	chainNone  chain = iota // no filter chain matches
	chainPlain              // bytes as they are, to the application
	chainHTTP               // mTLS, then an HTTP connection manager
	chainTCP                // mTLS, then a TCP proxy
)

// choose is the filter chain match of Istio's inbound listener
// (istio pilot/pkg/networking/core/filterchain_options.go): the mode, the
// declared protocol and what the peer's first bytes were (nil: not TLS).
func choose(mode cluster.MTLSMode, protocol string, hello *clientHello) chain {
	mtls := chainTCP
	switch protocol {
	case "http":
		mtls = chainHTTP
	case "auto":
		if hello.offers(httpMarker) {
			mtls = chainHTTP
		}
	}
	switch {
	case mode == cluster.Disable:
		return chainPlain
	case mode == cluster.Permissive && hello == nil:
		return chainPlain
	case mode == cluster.Permissive && !hello.offers(marker):
		// Without a marker it is the application's own TLS, which an HTTP port has none of.
		if protocol == "http" {
			return chainNone
		}
		return chainPlain
	case hello == nil:
		return chainNone
	default:
		return mtls
	}
}

// alpn is the protocol that the chain's TLS context negotiates: the first of
// its own that the peer offers, else none. The marker istio is not among them,
// and Envoy never refuses a handshake for want of a common protocol.
func (c chain) alpn(offered []string) string {
	served := [...]string{"istio-peer-exchange", "h2", "http/1.1"}
	from := 0
	if c == chainHTTP {
		from = 1
	}
	for _, p := range served[from:] {
		if slices.Contains(offered, p) {
			return p
		}
	}
	return ""
}
