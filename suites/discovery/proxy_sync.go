// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// ProxySync checks that every proxy has taken what its istiod told it last: one
// that has not calls by what was true before.
var ProxySync = probe.Define(probe.Meta{
	ID:      "discovery/proxy-sync",
	Title:   "every proxy has taken what istiod sent it",
	About:   "Of each proxy that an istiod of the cluster serves, sidecars and gateways alike, the last push of every type of resources is acknowledged (/debug/syncz, which istioctl proxy-status shows). A push that is less than half a minute old is Pending; one that the proxy refused is named with its reason. Embedded clusters have no XDS, so that only real ones show this.",
	Clause:  spec.IstioProxySync,
	Causes:  []probe.Cause{causeBehind, causeRefusedPush},
	Applies: "clusters",
}, probe.Clusters, observeProxySync, judgeProxySync)

var (
	causeBehind = probe.Cause{
		Code: "proxy-not-synced", Title: "proxies have not taken what istiod sent them: they go by what was true before",
		Try: []string{
			"istioctl --context {{.Cluster}} proxy-status",
			"kubectl --context {{.Cluster}} -n {{.Namespace}} logs {{.Name}} -c istio-proxy --tail=50    # is it busy, or cut off from istiod?",
			"kubectl --context {{.Cluster}} -n {{.Namespace}} delete pod {{.Name}}    # its controller makes another",
		},
	}
	causeRefusedPush = probe.Cause{
		Code: "proxy-rejects-config", Title: "proxies refused what istiod sent them",
		Try: []string{
			"istioctl --context {{.Cluster}} proxy-status",
			"kubectl --context {{.Cluster}} get envoyfilters -A    # does one of them ask for what this proxy cannot do?",
			"kubectl --context {{.Cluster}} -n {{.Namespace}} get pod {{.Name}} -o jsonpath='{.spec.containers[*].image}'    # a version that fits istiod's?",
		},
	}
)

const (
	// pushTime is for how long a push may be on its way.
	pushTime = 30 * time.Second

	// looks and pause: a proxy that is a moment behind is asked for again.
	looks = 3
	pause = time.Second

	// maxBehind bounds the proxies that are named.
	maxBehind = 50
)

// proxySyncSeen is how far the proxies of a cluster have followed.
type proxySyncSeen struct {
	At         time.Time     `json:"at"`
	Cluster    string        `json:"cluster"`
	NotOffered string        `json:"notOffered,omitempty"` // why istiod cannot be asked
	Istiods    []string      `json:"istiods"`
	Proxies    int           `json:"proxies"`
	Late       int           `json:"late"` // of them
	Behind     []proxyBehind `json:"behind,omitempty"`
}

// proxyBehind is one of the first proxies that have not followed, and with what.
type proxyBehind struct {
	Istiod    string                  `json:"istiod"`
	Proxy     string                  `json:"proxy"` // POD.NAMESPACE
	Resources []cluster.ResourceState `json:"resources"`
}

func observeProxySync(ctx context.Context, env *probe.Env, c probe.ClusterSubject) (proxySyncSeen, error) {
	o := proxySyncSeen{At: env.Now(), Cluster: c.Name()}
	asked, ok := cluster.As[cluster.ProxyStates](c.Cluster)
	if !ok {
		o.NotOffered = "the proxies of this provider take their configuration without XDS"
		return o, nil
	}
	for look := 1; ; look++ {
		istiods, err := asked.ProxyStates(ctx)
		if closed, ok := errors.AsType[*cluster.NotOfferedError](err); ok {
			o.NotOffered = closed.Error()
			return o, nil
		}
		if err != nil {
			return o, seen.APIError(err, "create", "pods/portforward in "+cluster.ControlPlaneOf(c.Cluster).Namespace())
		}
		o = behind(proxySyncSeen{At: env.Now(), Cluster: o.Cluster}, istiods)
		if o.Late == 0 || look == looks {
			return o, nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return o, ctx.Err()
		case <-timer.C:
		}
	}
}

// behind keeps what has not followed.
func behind(o proxySyncSeen, istiods []cluster.IstiodProxies) proxySyncSeen {
	for _, i := range istiods {
		o.Istiods = append(o.Istiods, i.Istiod)
		o.Proxies += len(i.Proxies)
		for _, p := range i.Proxies {
			left := slices.DeleteFunc(slices.Clone(p.Resources), cluster.ResourceState.Followed)
			if len(left) == 0 {
				continue
			}
			o.Late++
			if len(o.Behind) < maxBehind {
				o.Behind = append(o.Behind, proxyBehind{Istiod: i.Istiod, Proxy: p.ID, Resources: left})
			}
		}
	}
	return o
}

func judgeProxySync(o proxySyncSeen) []probe.Finding {
	switch {
	case o.NotOffered != "":
		return []probe.Finding{probe.Skipping(o.NotOffered)}
	case len(o.Istiods) == 0:
		return []probe.Finding{probe.Skipping("no istiod of " + o.Cluster + " runs, which ca/istiod-serves-cacerts judges")}
	case len(o.Behind) == 0:
		return []probe.Finding{probe.Passing(probe.Text("proxies of "+o.Cluster, fmt.Sprintf("%d, all of them have taken the last push", o.Proxies)))}
	}
	var evidence []probe.Evidence
	c, blamed := causeBehind, o.Behind[0].Proxy
	var last time.Time // of the pushes, where each is known and none was refused
	late := false
	for _, b := range o.Behind {
		for _, r := range b.Resources {
			got := "acknowledged " + cmp.Or(r.Acked, "nothing")
			if r.Error != "" {
				got = "refused: " + r.Error
				if c.Code != causeRefusedPush.Code {
					c, blamed = causeRefusedPush, b.Proxy
				}
			}
			late = late || r.Error != "" || r.At.IsZero() || !o.At.Before(r.At.Add(pushTime))
			if r.At.After(last) {
				last = r.At
			}
			evidence = append(evidence, probe.WantGot(r.Type+" of "+b.Proxy+", sent by "+b.Istiod, cmp.Or(r.Sent, "nothing"), got))
		}
	}
	if len(evidence) == 0 {
		return []probe.Finding{probe.Breaking("what the proxies have not taken is not said")}
	}
	if more := o.Late - len(o.Behind); more > 0 {
		evidence = append(evidence, probe.Text("further proxies", fmt.Sprint(more)))
	}
	f := probe.Failing(c, evidence[0], evidence[1:]...)
	if !late {
		f = probe.Pend(c, last.Add(pushTime), evidence[0], evidence[1:]...)
	}
	pod, namespace := podOf(blamed)
	return []probe.Finding{f.With("Namespace", namespace).With("Name", pod)}
}

// podOf splits the ID of a proxy: a pod's name may hold dots, a namespace's not.
func podOf(id string) (pod, namespace string) {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i] == '.' {
			return id[:i], id[i+1:]
		}
	}
	return id, ""
}
