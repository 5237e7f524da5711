// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"slices"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// SDSRoots checks that a sidecar verifies its peers by what its cluster
// distributes: it is given its roots with its certificate, and keeps them as
// long.
var SDSRoots = probe.DefineOn(probe.Meta{
	ID:      "identity/sds-roots",
	Title:   "a sidecar verifies its peers by the roots that its cluster distributes",
	About:   "The secret ROOTCA of the sidecar (config_dump), in up to five pods of the workload, holds every root of istio-ca-root-cert of its namespace, by key, and no other but those that meshConfig.caCertificates may add. Other roots are Pending until the sidecar renews its certificate, as long as one is right.",
	Clause:  spec.IstioProxyRoots,
	Causes:  []probe.Cause{causeStaleRoots},
	After:   []string{"ca/istiod-serves-cacerts", "trust/root-configmap", "identity/current-ca", "identity/sds-delivered", "identity/sds-issuer"},
	Applies: "sidecars",
}, seen.HeldSecrets(), judgeSDSRoots)

var causeStaleRoots = probe.Cause{
	Code: "workload-stale-leaf", Title: "the sidecar still verifies with the roots that its cluster had before",
	Try: []string{"kubectl --context {{.Cluster}} -n {{.Namespace}} rollout restart deployment"},
}

func judgeSDSRoots(o seen.Secrets) []probe.Finding { return ofEachPod(o, rootsInPod) }

func rootsInPod(pod string, o seen.Secrets) probe.Finding {
	roots, f := held(o, seen.ProxyRoots)
	if len(roots) == 0 {
		return f
	}
	want := o.Roots.SPKIs()
	if len(want) == 0 {
		return probe.Skipping("istio-ca-root-cert of " + o.Workload.Namespace + " holds no root that can be read")
	}
	got := roots.SPKIs()
	evidence := probe.WantGot("ROOTCA of "+pod, o.Roots.Describe(o.At), roots.Describe(o.At)).As(probe.KindBundle)
	missing, extra := less(want, got), less(got, want)
	switch {
	case len(missing) == 0 && (len(extra) == 0 || o.MoreRoots):
		return probe.Passing(evidence)
	case len(missing) < len(want):
		chain, _ := held(o, seen.ProxyCertificate)
		if leaf := chain.Leaf(); leaf != nil && o.At.Before(renewal(leaf)) {
			return probe.Pend(causeStaleRoots, renewal(leaf), evidence)
		}
	}
	return probe.Failing(causeStaleRoots, evidence)
}

// less is what is in a and not in b.
func less(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}
