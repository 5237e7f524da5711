// SPDX-License-Identifier: Apache-2.0

// Package agent carries TCP streams into a pod network: a [Server] in a pod
// dials what a [Dialer] outside names, and passes the bytes on in both
// directions. TLS stays end to end between the caller and the peer; the agent
// has no key, no identity and no opinion.
//
// How a stream ends is part of what a probe looks at, and ways into a pod such
// as port-forward do not tell an end from a reset. So bytes travel in frames:
//
//	caller   meshprobe-agent/1 TOKEN ADDRESS\n
//	agent    ok LOCAL REMOTE\n, or the reason why not: WORD TEXT\n
//	both     frames: kind (1 byte), length (2 bytes, big endian), payload
//
// where a frame is data, an end (the other half stays open) or a reset.
//
// The agent knows its caller by a token, dials literal addresses inside the
// ranges that it was started with and nothing on its own loopback, and bounds
// streams, their number and their idle time.
package agent
