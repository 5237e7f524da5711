// SPDX-License-Identifier: Apache-2.0

// Package dataplane is the data plane of the embedded provider: inbound
// listeners that behave towards a peer as Istio's do, on real sockets, with
// real TLS and real HTTP/2.
//
//   - [Sidecar]: what a sidecar does with a connection to its application's port.
//   - [Ztunnel]: HBONE on 15008 and captured plaintext on 15006 of an ambient pod.
//   - [Passthrough]: port 15443 of an east-west gateway, routed by SNI, TLS untouched.
//   - [EastWest]: port 15008 of an ambient east-west gateway, the outer layer of double HBONE.
//   - [Waypoint]: port 15008 of a waypoint, which ends tunnels and makes new ones.
//
// All of them are configured with functions that are asked when a connection
// needs the answer, so that a rotated identity, another mTLS mode or a new
// route holds from the next connection on and no listener is ever restarted.
// Every Serve returns when its context is done and each connection that it
// accepted is closed and its goroutines have ended.
//
// The peers here are crypto/tls, so the alerts are Go's: unknown_ca,
// certificate_expired and certificate_required where Envoy and ztunnel send
// them too, bad_certificate for everything that only the mesh forbids (a
// foreign trust domain, no SPIFFE ID).
//
// Whatever a peer sends is bounded: the bytes of its ClientHello, the time of
// its handshake, the number of its connections.
package dataplane
