// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// RemoteCluster checks what came of a remote secret: istiod itself says that it
// has read the other cluster. One that cannot read a changed secret goes on with
// what the former one let it know, and says so only here.
var RemoteCluster = probe.Define(probe.Meta{
	ID:      "discovery/remote-cluster",
	Title:   "istiod has the other cluster registered and in sync",
	About:   "Every istiod of the cluster lists the other one as synced (/debug/clusterz, which istioctl remote-clusters shows). An istiod whose remote secret was changed to one that does not work still serves the endpoints that it knew before; it lists the cluster as syncing, and after PILOT_REMOTE_CLUSTER_TIMEOUT as timed out.",
	Clause:  spec.IstioRemoteCluster,
	Causes:  []probe.Cause{causeNotSynced},
	After:   []string{"discovery/remote-secret"},
	Applies: "directions between clusters",
}, probe.Directions, observeRemoteCluster, judgeRemoteCluster)

var causeNotSynced = probe.Cause{
	Code: "remote-secret-missing-or-broken", Title: "istiod does not read the other cluster: it never registered it, or never came to be in sync with it",
	Try: []string{
		"istioctl --context {{.From}} remote-clusters",
		"kubectl --context {{.From}} -n istio-system logs deployment/istiod | grep -i 'remote cluster\\|secretcontroller\\|failed to list'",
		"istioctl --context {{.To}} create-remote-secret --name {{.To}} --server https://ADDRESS:PORT | kubectl --context {{.From}} apply -f -    # an address that the pod of istiod reaches",
	},
}

// syncTime is for how long an istiod may be syncing before it gives itself up
// (istio pilot/pkg/features, PILOT_REMOTE_CLUSTER_TIMEOUT).
const syncTime = 30 * time.Second

// remoteClusterSeen is one direction as each istiod sees it.
type remoteClusterSeen struct {
	At         time.Time       `json:"at"`
	From       string          `json:"from"`
	To         string          `json:"to"`
	NotOffered string          `json:"notOffered,omitempty"` // why istiod cannot be asked
	Istiods    []istiodRemotes `json:"istiods"`
}

type istiodRemotes struct {
	Name   string                  `json:"name"`
	Said   []cluster.RemoteCluster `json:"said"`             // of the other cluster
	Others []string                `json:"others,omitempty"` // IDs of the other clusters that it knows
}

func observeRemoteCluster(ctx context.Context, env *probe.Env, p cluster.Pair) (remoteClusterSeen, error) {
	o := remoteClusterSeen{At: env.Now(), From: p.A.Name(), To: p.B.Name()}
	asked, ok := cluster.As[cluster.Remotes](p.A)
	if !ok {
		o.NotOffered = "the provider asks no istiod"
		return o, nil
	}
	istiods, err := asked.RemoteClusters(ctx)
	if closed, ok := errors.AsType[*cluster.NotOfferedError](err); ok {
		o.NotOffered = closed.Error()
		return o, nil
	}
	if err != nil {
		return o, seen.APIError(err, "create", "pods/portforward in "+cluster.ControlPlaneOf(p.A).Namespace())
	}
	known := true
	for _, i := range istiods {
		one := istiodRemotes{Name: i.Istiod}
		for _, c := range i.Clusters {
			if c.ID == o.To {
				one.Said = append(one.Said, c)
			} else {
				one.Others = append(one.Others, c.ID)
			}
		}
		known = known && len(one.Said) > 0
		o.Istiods = append(o.Istiods, one)
	}
	if !known && len(env.Lacks) > 0 {
		return o, env.Lacks[0] // the name by which istiod knows the cluster may be another
	}
	return o, nil
}

func judgeRemoteCluster(o remoteClusterSeen) []probe.Finding {
	switch {
	case o.NotOffered != "":
		return []probe.Finding{probe.Skipping(o.NotOffered)}
	case len(o.Istiods) == 0:
		return []probe.Finding{probe.Skipping("no istiod of " + o.From + " runs, which ca/istiod-serves-cacerts judges")}
	}
	var synced, wrong []probe.Evidence
	syncing := true
	for _, i := range o.Istiods {
		state := i.state()
		evidence := probe.WantGot(o.To+", as "+i.Name+" of "+o.From+" sees it", cluster.RemoteSynced, state)
		if state == cluster.RemoteSynced {
			synced = append(synced, evidence)
			continue
		}
		wrong = append(wrong, evidence)
		syncing = syncing && state == cluster.RemoteSyncing
	}
	switch {
	case len(wrong) == 0:
		return []probe.Finding{probe.Passing(synced...)}
	case syncing:
		return []probe.Finding{probe.Pend(causeNotSynced, o.At.Add(syncTime), wrong[0], wrong[1:]...)}
	}
	return []probe.Finding{probe.Failing(causeNotSynced, wrong[0], append(wrong[1:], synced...)...)}
}

// state is the worst that an istiod says of the other cluster, of which it may
// have several secrets: what is not synced first.
func (i istiodRemotes) state() string {
	if len(i.Said) == 0 {
		return fmt.Sprintf("not registered, only %s", cmp.Or(strings.Join(i.Others, ", "), "nothing"))
	}
	for _, s := range i.Said {
		if s.Status != cluster.RemoteSynced {
			return cmp.Or(s.Status, "no status")
		}
	}
	return cluster.RemoteSynced
}
