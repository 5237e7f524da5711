// SPDX-License-Identifier: Apache-2.0

// Package endpointtest has servers that are wrong in one named way, for tests of
// what is said about an endpoint. Those that need no more than a socket write
// what they have to say; those that break TLS are a correct crypto/tls server
// whose flight is edited on its way out, or whose keys, taken from its key log,
// seal what it would never send; those that break HTTP/2 stand on its Framer
// or on [hbonetest.Server].
package endpointtest
