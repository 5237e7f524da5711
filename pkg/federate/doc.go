// SPDX-License-Identifier: Apache-2.0

// Package federate makes clusters trust each other: one shared root, one
// intermediate per cluster, and what their control planes need to find each
// other. It writes through a cluster's Kubernetes API only, so it works the
// same on every provider.
//
// [NewPlan] says what would change, [Apply] changes it, [Verify] proves it by a
// handshake in every direction, [Status] says how far it came and [Rollback]
// puts back what was there before.
//
// Apply works in the order in which trust can be moved (failures.md §0.10; a
// skipped step is behind most of the failures there), and awaits each step by
// a watch before it begins the next:
//
//	root            the shared root exists and is kept
//	csr             each cluster's CA key is in the cluster, its CSR is out
//	intermediate    the CSRs are signed
//	cacerts         Secret cacerts holds key, intermediate and root
//	istiod-restart  istiod has read it
//	root-configmap  istio-ca-root-cert is the new root in every namespace
//	gateway-restart, workload-restart   nobody holds an old certificate
//	gateway                         the ways into each network
//	network, remote-secret              the control planes find each other
//	verify          a handshake in every direction
//
// A cluster in use that gets another root goes through more of them
// (Options.Overlap, [Move]), so that whoever was restarted and whoever was not
// trust each other at every moment:
//
//	trust           after root: cacerts trusts both roots, its CA stays
//	trust-rollout   istiod, every namespace, every proxy trust both
//	retire          after verify: cacerts trusts the shared root only ([Drop])
//	retire-rollout  nobody trusts the former root any more
//
// Each step looks at what is there and does only what is missing, so that an
// Apply that was killed is continued by the next one, and one that has nothing
// to do writes nothing.
//
// Nothing is lost. An object that meshprobe replaces is kept whole in a Secret
// meshprobe-backup-KIND-NAME beside it; one that it creates says so in the
// annotation meshprobe.io/previous; of a label or annotation that it sets, the
// former value is kept in the same annotation of the same object.
//
// A cluster's CA key is made by [caSide] in a Secret of that cluster before the
// CSR leaves it, and never goes further than from there to cacerts.
package federate
