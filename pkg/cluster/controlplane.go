// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"time"
)

// Remotes is the ability to ask a cluster's istiods which clusters they read
// services and endpoints of. The error is a *NotOfferedError where they tell
// nobody.
type Remotes interface {
	// RemoteClusters has one element for each istiod that runs; none where none
	// does. What it holds is bounded.
	RemoteClusters(ctx context.Context) ([]IstiodRemotes, error)
}

// IstiodRemotes is what one istiod says of the clusters that it was told of
// (/debug/clusterz, which istioctl remote-clusters shows).
type IstiodRemotes struct {
	Istiod   string          `json:"istiod"`   // its pod
	Clusters []RemoteCluster `json:"clusters"` // its own too, without a secret
}

// RemoteCluster is one cluster as an istiod sees it.
type RemoteCluster struct {
	ID     string `json:"id"`
	Secret string `json:"secret,omitempty"` // namespace/name of the remote secret
	Status string `json:"status"`           // one of the constants below, or what an istiod of another version says
}

// The states of a remote cluster (istio pkg/kube/multicluster/cluster.go).
const (
	RemoteSynced  = "synced"  // everything was read once
	RemoteSyncing = "syncing" // not yet
	RemoteTimeout = "timeout" // not within PILOT_REMOTE_CLUSTER_TIMEOUT, 30 s; istiod goes on trying
	RemoteClosed  = "closed"  // given up
)

// ProxyStates is the ability to ask a cluster's istiods how far the proxies that
// they serve have followed. The error is a *NotOfferedError where they tell
// nobody.
type ProxyStates interface {
	// ProxyStates has one element for each istiod that runs, of every revision;
	// none where none does. What it holds is bounded.
	ProxyStates(ctx context.Context) ([]IstiodProxies, error)
}

// IstiodProxies is what one istiod says of its proxies (/debug/syncz, which
// istioctl proxy-status shows).
type IstiodProxies struct {
	Istiod  string       `json:"istiod"` // its pod
	Proxies []ProxyState `json:"proxies"`
}

// ProxyState is one proxy as an istiod sees it.
type ProxyState struct {
	ID        string          `json:"id"` // POD.NAMESPACE
	Type      string          `json:"type,omitempty"`
	Resources []ResourceState `json:"resources"` // by type
}

// ResourceState is how far a proxy has followed with one type of resources.
type ResourceState struct {
	Type  string    `json:"type"`  // last part of the type URL, e.g. Cluster
	Sent  string    `json:"sent"`  // nonce of the last push, empty where there was none
	Acked string    `json:"acked"` // nonce of the last one that the proxy took
	At    time.Time `json:"at"`    // of the last push, zero where it is not said
	Error string    `json:"error"` // why the proxy refused the last push
}

// Followed says that the proxy took the last push.
func (r ResourceState) Followed() bool { return r.Error == "" && r.Sent == r.Acked }
