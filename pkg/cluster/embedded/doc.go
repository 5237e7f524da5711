// SPDX-License-Identifier: Apache-2.0

// Package embedded is the provider whose clusters live in this process. They
// behave as Istio's do, they do not merely agree: what a caller resolves, which
// certificate it meets and why it is refused follow from the objects in each
// cluster's Kubernetes API and from what was restarted when.
//
// Each cluster is
//
//   - a Kubernetes API over loopback TLS (package kubeapi);
//   - controllers that roll Deployments and DaemonSets out, keep endpoints, and
//     make up for deleted pods;
//   - an istiod that starts as its own self-signed root, signs by
//     CreateCertificate over gRPC, reads Secret cacerts only when it starts, and
//     writes istio-ca-root-cert into every namespace (package citadel);
//   - workloads, a ztunnel, two east-west gateways and the waypoints of the
//     topology with real sockets and real handshakes (package dataplane), whose certificates come from that istiod
//     and stay what they are until a restart or half of their life;
//   - a part of one virtual network (package vnet): pods have addresses of their
//     own, clusters of different networks reach only each other's gateways.
//
// What it leaves out: XDS, injection webhooks, locality, several
// replicas or nodes, DestinationRules and AuthorizationPolicies. Waypoints pass on what they carry
// without looking into it, and to pods of their own cluster only.
package embedded
