// SPDX-License-Identifier: Apache-2.0

package probetest

import "flag"

// The flags of `go test ./suites/... -args`. Every test package under suites/
// imports probetest, so that all accept them; only suites/e2e opens clusters.
var (
	provider = flag.String("provider", "embedded", "provider that suites/e2e opens: embedded, kind or live")
	contexts = flag.String("contexts", "", "kubeconfig contexts A,B,… of -provider live")
	topology = flag.String("topology", "", "topology file in place of the default one")
	reuse    = flag.String("reuse", "", "mesh that clusters create made, with -provider kind")
	update   = flag.Bool("update", false, "record fixtures and rewrite goldens")
)

// Provider is the provider asked for.
func Provider() string { return *provider }

// Reuse is the mesh of real clusters to work on; empty is one of its own.
func Reuse() string { return *reuse }

// Contexts are the kubeconfig contexts of the live provider, as they were given.
func Contexts() string { return *contexts }

// Topology is the path of a topology file; empty is the default topology.
func Topology() string { return *topology }

// Update says whether fixtures and goldens are to be rewritten.
func Update() bool { return *update }
