// SPDX-License-Identifier: Apache-2.0

package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/meshprobe/meshprobe/pkg/agent/agentpod"
	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Cluster is one running cluster, attached to. It implements cluster.Cluster
// and, as abilities, cluster.Kube, cluster.Identities, cluster.Bundles,
// cluster.Resolver, cluster.Dumper, cluster.Replicated, cluster.Vantage, cluster.Egress and
// cluster.Installed. It is
// safe for concurrent use.
type Cluster struct {
	config Config
	facts  Facts

	rest    *rest.Config
	kube    kubernetes.Interface
	dynamic dynamic.Interface
	api     cluster.APIServer

	inventory  inventoryCache
	identities identityCache
	forwards   *forwarder
	handedOut  handedOut
	guest      *agentpod.Guest // nil where there is none; set before the cluster is used
	uninvited  string          // why there is none although one was allowed
	hosted     func(context.Context) error
	close      func()
	closeOnce  sync.Once

	mu    sync.Mutex
	peers []*Cluster // every cluster of the set, this one included
}

var (
	_ cluster.Cluster    = (*Cluster)(nil)
	_ cluster.Kube       = (*Cluster)(nil)
	_ cluster.Identities = (*Cluster)(nil)
	_ cluster.Bundles    = (*Cluster)(nil)
	_ cluster.Resolver   = (*Cluster)(nil)
	_ cluster.Dumper     = (*Cluster)(nil)
	_ cluster.Replicated = (*Cluster)(nil)
	_ cluster.Vantage    = (*Cluster)(nil)
	_ cluster.Egress     = (*Cluster)(nil)
)

// Attach makes the clients of a cluster and discovers what its mesh says of
// itself. It fails where the API does not answer, or where there is no istiod
// that Config could mean. The caller closes the cluster; until Join the cluster
// knows of no other.
func Attach(ctx context.Context, cfg Config) (*Cluster, error) {
	c, err := connect(cfg)
	if err != nil {
		return nil, fmt.Errorf("live: %s: %w", cfg.name(), err)
	}
	if c.facts, err = c.discover(ctx); err == nil {
		c.facts.Denied, err = c.preflight(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("live: %s: %w", cfg.name(), err), c.Close(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// Join tells clusters of each other: a cluster resolves a service from what
// its own control plane says, and finds in which of the others an address lies.
func Join(clusters ...*Cluster) {
	for _, c := range clusters {
		c.mu.Lock()
		c.peers = slices.Clone(clusters)
		c.mu.Unlock()
	}
}

// name is how the cluster is called before it said its name.
func (c Config) name() string { return cmp.Or(c.Spec.Context, c.Spec.Name, "cluster") }

// now is the clock of the options.
func (c *Cluster) now() time.Time {
	if c.config.Options.Now != nil {
		return c.config.Options.Now()
	}
	return time.Now()
}

func (c *Cluster) joined() []*Cluster {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.peers) == 0 {
		return []*Cluster{c}
	}
	return c.peers
}

// Name is the cluster ID of its istiod, or what the topology calls it.
func (c *Cluster) Name() string { return c.facts.Name }

// Network is that of the topology, else the one that the cluster itself names.
func (c *Cluster) Network() string { return c.facts.Network }

// TrustDomain is that of the mesh configuration.
func (c *Cluster) TrustDomain() string { return c.facts.TrustDomain }

// TrustDomainAliases are those of the mesh configuration.
func (c *Cluster) TrustDomainAliases() []string { return slices.Clone(c.facts.TrustDomainAliases) }

// Facts is what was discovered.
func (c *Cluster) Facts() Facts { return c.facts }

// ControlPlane is where the istiod is that was found or named.
func (c *Cluster) ControlPlane() cluster.ControlPlane {
	return cluster.ControlPlane{RootNamespace: c.facts.RootNamespace, Revision: c.facts.Revision}
}

// Kubernetes is the typed client, behind the guard.
func (c *Cluster) Kubernetes() kubernetes.Interface { return c.kube }

// Dynamic is the dynamic client, behind the guard.
func (c *Cluster) Dynamic() dynamic.Interface { return c.dynamic }

// APIServer is the address of the kubeconfig.
func (c *Cluster) APIServer() cluster.APIServer { return c.api }

// Close removes the agent, where there is one, and ends every stream into the
// cluster, which is then as it was.
func (c *Cluster) Close(ctx context.Context) (err error) {
	c.closeOnce.Do(func() {
		if c.hosted != nil {
			if err = c.hosted(ctx); err != nil {
				err = &AgentError{Cluster: c.Name(), Err: err}
			}
		}
		c.forwards.Close()
		c.close()
	})
	return err
}

// direct dials from the agent, else from where this process stands.
func (c *Cluster) direct(ctx context.Context, addr string) (net.Conn, error) {
	if c.guest != nil {
		return c.throughGuest(ctx, addr)
	}
	if d := c.config.Options.Direct; d != nil {
		return d(ctx, addr)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", addr)
}
