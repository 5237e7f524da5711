// SPDX-License-Identifier: Apache-2.0

// Package live attaches to somebody's running clusters through kubeconfig
// contexts. It brings nothing up and tears nothing down: it discovers what the
// mesh says of itself, lists the workloads, and opens streams where a stream
// can be had from outside.
//
// Without Options.Write nothing changes: each request to a Kubernetes API passes
// a guard that lets get, list and watch through, and the create of TokenRequest,
// SelfSubjectAccessReview and port-forward, and refuses everything else before
// it leaves the process.
//
// No pod or service address is ever dialed from outside its cluster. A stream
// into a pod is a port-forward, which enters the pod's network namespace over
// its loopback and so reaches what listens there (HBONE on 15008, a gateway's
// ports, istiod, admin ports), and never passes a sidecar's capture on 15006.
// Addresses of gateways are dialed directly, as another cluster would.
package live
