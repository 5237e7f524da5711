// SPDX-License-Identifier: Apache-2.0

// Package probe is the vocabulary and the engine of meshprobe: what a probe
// is, what it finds, and how a plan of probes runs.
//
// A probe is one value. It names a healthy fact, cites the clause that asks
// for it, and is made of two functions that never meet: observe does the I/O
// and returns a plain value that can be written down; judge turns that value
// into findings and touches neither network nor clock.
//
//	var SharedRoot = probe.Define(probe.Meta{
//		ID:     "trust/shared-root",
//		Title:  "both clusters share a trust anchor",
//		Clause: spec.IstioSharedRoot,
//		Causes: []probe.Cause{causeSameDN, causeDistinctDN},
//	}, probe.Pairs, observeRoots, judgeRoots)
//
// Because of that split every run can be recorded and judged again elsewhere,
// every judge can be fuzzed, and a bug report is a directory of observations.
// Several probes may judge one observation ([Observation], [DefineOn]), so
// that a handshake which answers six questions happens once.
//
// A [Runner] runs a [Plan]: it observes with bounded parallelism, judges, and
// streams findings to a [Sink] from a single goroutine. Failures are findings,
// never errors. A finding that fails blocks the findings that come after it
// on the same subject, so one broken root is one failure and not forty.
//
// The package knows nothing of Kubernetes clients, HBONE or report formats.
package probe
