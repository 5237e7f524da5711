// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"net"
	"time"

	"k8s.io/client-go/rest"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Name is the provider's word on the command line.
const Name = "live"

// Options say how to attach to clusters. The zero value uses the kubeconfig
// that kubectl would use, reads only, and discovers everything.
type Options struct {
	// Kubeconfigs are files, merged as kubectl merges those of KUBECONFIG; the
	// first that defines a context wins. None means KUBECONFIG, then
	// ~/.kube/config, then the service account of the pod that this runs in.
	Kubeconfigs []string

	// Overrides replace what would be discovered, by context; the key "" is for
	// every context.
	Overrides map[string]Override

	// Write opens the guard for changes, which only federation makes.
	Write bool

	// Agent, where set, lets each cluster that this process does not run in have
	// an agent until it is closed. The guard stays as it is for everything else.
	Agent *Agent

	// Identity, where set, is shown in place of minted SVIDs.
	Identity *cluster.Identity

	// MaxWorkloads bounds the workloads that are listed per cluster; 0 means 50.
	MaxWorkloads int

	// Direct dials what is reachable from where this process stands: gateways,
	// API servers, and pods where Inside says so. Nil is a net.Dialer.
	Direct func(ctx context.Context, addr string) (net.Conn, error)

	// Now is the clock; nil is time.Now. Only connections keep real time.
	Now func() time.Time
}

// Override replaces facts that a cluster would say of itself; empty fields are
// discovered.
type Override struct {
	Name          string // cluster ID of istiod
	Network       string
	TrustDomain   string
	Revision      string
	RootNamespace string
}

// Config names one cluster and the way to its API.
type Config struct {
	// Spec is what the topology says of the cluster. An empty Name, Network or
	// TrustDomain is discovered; Namespaces, where there are any, choose and
	// order the workloads, and say which of them count as ambient.
	Spec cluster.ClusterSpec

	// REST is the way to the API; it is copied. Required.
	REST *rest.Config

	// Inside says that this process runs in a pod of this cluster, so that pod
	// and service addresses can be dialed.
	Inside bool

	// Revision and RootNamespace choose one of several control planes; empty
	// ones are discovered.
	Revision      string
	RootNamespace string

	Options Options // Kubeconfigs and Overrides are not used here
}
