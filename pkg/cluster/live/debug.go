// SPDX-License-Identifier: Apache-2.0

package live

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

var (
	_ cluster.Remotes     = (*Cluster)(nil)
	_ cluster.ProxyStates = (*Cluster)(nil)
)

// What is kept of an istiod's answers.
const (
	maxIstiods   = 16
	maxRemotes   = 256
	maxProxies   = 20_000
	maxResources = 32 // types of one proxy
	maxSaid      = 300
)

// RemoteClusters implements cluster.Remotes, for the istiods of the revision.
func (c *Cluster) RemoteClusters(ctx context.Context) ([]cluster.IstiodRemotes, error) {
	var out []cluster.IstiodRemotes
	err := c.eachIstiod(ctx, "/debug/clusterz", c.facts.Revision, func(istiod string, raw []byte) error {
		remotes, err := readClusterz(raw)
		out = append(out, cluster.IstiodRemotes{Istiod: istiod, Clusters: remotes})
		return err
	})
	return out, err
}

// ProxyStates implements cluster.ProxyStates.
func (c *Cluster) ProxyStates(ctx context.Context) ([]cluster.IstiodProxies, error) {
	var out []cluster.IstiodProxies
	err := c.eachIstiod(ctx, "/debug/syncz", "", func(istiod string, raw []byte) error {
		proxies, err := readSyncz(raw)
		out = append(out, cluster.IstiodProxies{Istiod: istiod, Proxies: proxies})
		return err
	})
	return out, err
}

// eachIstiod asks every ready istiod of a revision, of all where it is empty,
// one of its debug questions.
func (c *Cluster) eachIstiod(ctx context.Context, path, revision string, take func(istiod string, raw []byte) error) error {
	inv, err := c.inventory.get(ctx)
	if err != nil {
		return err
	}
	if err := inv.need("pods"); err != nil {
		return err
	}
	asked := 0
	for _, p := range inv.pods {
		if !c.isIstiod(p) || revision != "" && revisionOf(*p) != revision || asked == maxIstiods {
			continue
		}
		asked++
		raw, err := c.get(ctx, p, monitoringPort, path, maxDebug)
		if err == nil {
			err = take(p.Name, raw)
		}
		if err != nil {
			return fmt.Errorf("live: %s of %s in %s: %w", path, p.Name, c.Name(), notOffered("the debug interface of istiod in "+c.Name(), err))
		}
	}
	return nil
}

func (c *Cluster) isIstiod(p *corev1.Pod) bool {
	return p.Namespace == c.facts.RootNamespace && p.Labels["app"] == "istiod" && ready(p)
}

// readClusterz reads /debug/clusterz (istio pkg/cluster/debug.go).
func readClusterz(raw []byte) ([]cluster.RemoteCluster, error) {
	var said []struct {
		ID     string `json:"id"`
		Secret string `json:"secretName"`
		Status string `json:"syncStatus"`
	}
	if err := json.Unmarshal(raw, &said); err != nil {
		return nil, fmt.Errorf("remote clusters: %w", err)
	}
	var out []cluster.RemoteCluster
	for _, s := range said[:min(len(said), maxRemotes)] {
		out = append(out, cluster.RemoteCluster{ID: clip(s.ID), Secret: clip(s.Secret), Status: clip(s.Status)})
	}
	slices.SortFunc(out, func(a, b cluster.RemoteCluster) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), strings.Compare(a.Secret, b.Secret), strings.Compare(a.Status, b.Status))
	})
	return out, nil
}

// proxySaid is an element of /debug/syncz (istio pilot/pkg/xds/debug.go,
// SyncStatus). Istio before 1.25 has no resources.
type proxySaid struct {
	ID        string                  `json:"proxy"`
	Type      string                  `json:"proxy_type"`
	Resources map[string]resourceSaid `json:"resources"`

	ClusterSent   string `json:"cluster_sent"`
	ClusterAcked  string `json:"cluster_acked"`
	ListenerSent  string `json:"listener_sent"`
	ListenerAcked string `json:"listener_acked"`
	RouteSent     string `json:"route_sent"`
	RouteAcked    string `json:"route_acked"`
	EndpointSent  string `json:"endpoint_sent"`
	EndpointAcked string `json:"endpoint_acked"`
}

type resourceSaid struct {
	Sent      string    `json:"sent"`
	Acked     string    `json:"acked"`
	SentTime  time.Time `json:"sentTime"`
	LastError string    `json:"lastError"`
}

// readSyncz reads /debug/syncz.
func readSyncz(raw []byte) ([]cluster.ProxyState, error) {
	var said []proxySaid
	if err := json.Unmarshal(raw, &said); err != nil {
		return nil, fmt.Errorf("proxies: %w", err)
	}
	var out []cluster.ProxyState
	for _, s := range said[:min(len(said), maxProxies)] {
		resources := s.Resources
		if len(resources) == 0 {
			resources = map[string]resourceSaid{
				"Cluster":               {Sent: s.ClusterSent, Acked: s.ClusterAcked},
				"Listener":              {Sent: s.ListenerSent, Acked: s.ListenerAcked},
				"RouteConfiguration":    {Sent: s.RouteSent, Acked: s.RouteAcked},
				"ClusterLoadAssignment": {Sent: s.EndpointSent, Acked: s.EndpointAcked},
			}
		}
		p := cluster.ProxyState{ID: clip(s.ID), Type: clip(s.Type)}
		for _, name := range slices.Sorted(maps.Keys(resources)) {
			if r := resources[name]; r != (resourceSaid{}) && len(p.Resources) < maxResources {
				p.Resources = append(p.Resources, cluster.ResourceState{
					Type: clip(name[strings.LastIndexByte(name, '.')+1:]), Sent: clip(r.Sent), Acked: clip(r.Acked), At: r.SentTime, Error: clip(r.LastError),
				})
			}
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b cluster.ProxyState) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

// clip bounds a text of somebody else's.
func clip(s string) string {
	if len(s) > maxSaid {
		s = s[:maxSaid]
	}
	return strings.ToValidUTF8(s, "?")
}
