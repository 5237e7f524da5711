// SPDX-License-Identifier: Apache-2.0

// Package kubeapi is the Kubernetes API of one embedded cluster: the REST verbs
// over loopback TLS in front of client-go's object tracker. The front adds what
// the tracker lacks (resource versions and conflicts, watch from a version,
// selectors, limits, namespaces, tokens, access), so that ordinary typed and
// dynamic client-go clients, informers, kubeconfigs and remote secrets work
// against it as against a real API server.
//
// It has no controllers. Whoever plays kubelet, deployment controller or istiod
// uses [Server.Store], which has the same semantics without HTTP.
//
// Differences from a real API server that a caller may notice: answers are JSON
// only (requests may be protobuf, as client-go sends them by default),
// server-side apply is refused with 415, and namespaces, finalizers apart,
// vanish within the DELETE that asked for it.
package kubeapi
