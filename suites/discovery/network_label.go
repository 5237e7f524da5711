// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"cmp"

	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// NetworkLabel checks that a cluster says which network it is in. Without it
// the others hand out its pods' addresses, which they cannot reach.
var NetworkLabel = probe.DefineOn(probe.Meta{
	ID:      "discovery/network-label",
	Title:   "istio-system names the cluster's network",
	About:   "The namespace istio-system bears the label topology.istio.io/network with the network that the topology gives the cluster. Where all clusters share one network it may be absent.",
	Clause:  spec.IstioNetworkLabel,
	Causes:  []probe.Cause{causeNoLabel, causeOtherNetwork},
	Applies: "clusters",
}, networks(), judgeNetworkLabel)

var (
	causeNoLabel = probe.Cause{
		Code: "network-label-missing", Title: "istio-system has no network label, so other clusters take its pods for their neighbours",
		Try: []string{"kubectl --context {{.Cluster}} label namespace istio-system topology.istio.io/network={{.Network}}"},
	}
	causeOtherNetwork = probe.Cause{
		Code: "network-label-wrong", Title: "istio-system names another network than the topology",
		Try: []string{"kubectl --context {{.Cluster}} label --overwrite namespace istio-system topology.istio.io/network={{.Network}}   # or correct the topology"},
	}
)

func judgeNetworkLabel(o network) []probe.Finding {
	evidence := probe.WantGot("label "+networkLabel+" of "+o.ControlPlane.Namespace()+" in "+o.Cluster, o.Wanted, cmp.Or(o.Label, "none")).As(probe.KindObject)
	switch {
	case o.Label == o.Wanted, o.Label == "" && o.Alone:
		return []probe.Finding{probe.Passing(evidence)}
	case o.Label == "":
		return []probe.Finding{probe.Failing(causeNoLabel, evidence).With("Network", o.Wanted)}
	default:
		return []probe.Finding{probe.Failing(causeOtherNetwork, evidence).With("Network", o.Wanted)}
	}
}
