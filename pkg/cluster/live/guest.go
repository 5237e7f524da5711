// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/meshprobe/meshprobe/pkg/agent"
	"github.com/meshprobe/meshprobe/pkg/agent/agentpod"
	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Agent says that a cluster may be given an agent for the time that it is
// attached to, and what that is.
type Agent struct {
	Image    string        // of meshprobe; required
	Lifetime time.Duration // 0 means agentpod.DefaultLifetime
	Wait     time.Duration // for the agent to run; 0 means agentpod.DefaultWait
}

// AgentError says that a cluster did not get its agent.
type AgentError struct {
	Cluster string
	Err     error
}

// Error names the cluster.
func (e *AgentError) Error() string { return fmt.Sprintf("live: %s: %v", e.Cluster, e.Err) }

// Unwrap is why.
func (e *AgentError) Unwrap() error { return e.Err }

// maxHosts bounds what an agent is told; the workloads that are looked at come
// first.
const maxHosts = 2000

// invite puts an agent into each of the joined clusters that this process does
// not stand in. A permission that is missing is no error: what would have needed
// the agent says so.
func invite(ctx context.Context, attached []*Cluster, events cluster.Events) error {
	group, groupCtx := errgroup.WithContext(ctx)
	for _, c := range attached {
		if c.config.Options.Agent == nil || c.config.Inside {
			continue
		}
		group.Go(func() error {
			err := c.invite(groupCtx)
			if denied(err) {
				c.uninvited = "its agent was not let in: " + err.Error()
				events.Emit(cluster.Event{Time: c.now(), Cluster: c.Name(), Step: "agent", Detail: c.uninvited})
				return nil
			}
			if err != nil {
				return &AgentError{Cluster: c.Name(), Err: err}
			}
			events.Emit(cluster.Event{
				Time: c.now(), Cluster: c.Name(), Step: "agent",
				Detail: fmt.Sprintf("an agent in namespace %s dials for meshprobe until it is done", agentpod.Namespace),
			})
			return nil
		})
	}
	return group.Wait()
}

func (c *Cluster) invite(ctx context.Context) error {
	kube, done, err := c.inviting()
	if err != nil {
		return err
	}
	hosts, err := c.hosts(ctx)
	if err != nil {
		done()
		return err
	}
	o := c.config.Options.Agent
	guest, err := agentpod.Options{
		Kube: kube, Forward: c.forwards.dial, Image: o.Image, Hosts: hosts, Lifetime: o.Lifetime, Wait: o.Wait,
	}.Start(ctx)
	if err != nil {
		done()
		return err
	}
	c.guest = guest
	c.hosted = func(ctx context.Context) error {
		defer done()
		return guest.Stop(ctx)
	}
	return nil
}

// inviting is a client that may make and remove an agent, and nothing else.
func (c *Cluster) inviting() (kube kubernetes.Interface, closeClient func(), err error) {
	config := rest.CopyConfig(c.config.REST)
	quiet(config)
	config.Timeout = apiTimeout
	prefix, err := prefixOf(config)
	if err != nil {
		return nil, nil, err
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return &guard{next: next, prefix: prefix, also: guests}
	})
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, nil, fmt.Errorf("client: %w", err)
	}
	if kube, err = kubernetes.NewForConfigAndClient(config, client); err != nil {
		return nil, nil, fmt.Errorf("client: %w", err)
	}
	return kube, func() { closeIdle(client) }, nil
}

// guests are the requests that make and remove an agent.
func guests(method, path string) bool {
	const (
		namespaces = "/api/v1/namespaces"
		jobs       = "/apis/batch/v1/namespaces/" + agentpod.Namespace + "/jobs"
	)
	switch method {
	case http.MethodPost:
		return path == namespaces || path == jobs
	case http.MethodDelete:
		return path == namespaces+"/"+agentpod.Namespace || path == jobs+"/"+agentpod.Name
	}
	return false
}

// hosts are what an agent in this cluster may dial: the pods of the mesh here
// and of its control plane, the gateways of every cluster, and the APIs that the
// remote secrets name.
func (c *Cluster) hosts(ctx context.Context) ([]string, error) {
	inv, err := c.inventory.get(ctx)
	if err != nil {
		return nil, err
	}
	first, rest := map[string]bool{}, map[string]bool{}
	ws, err := c.Workloads(ctx)
	if _, isDenied := errors.AsType[*cluster.DeniedError](err); err != nil && !isDenied {
		return nil, err
	}
	for _, w := range ws {
		first[w.Address.String()] = true
	}
	for _, p := range inv.pods {
		if !p.Spec.HostNetwork && (p.Namespace == c.facts.RootNamespace || isGateway(p) || c.workload(inv, p, nil).DataPlane != cluster.NoMesh) {
			rest[p.Status.PodIP] = true
		}
	}
	for _, peer := range c.joined() {
		if other, err := peer.inventory.get(ctx); err == nil {
			for host := range other.outside {
				first[host] = true
			}
			for _, at := range other.ambientGateways(peer.Network()) {
				if host, _, err := net.SplitHostPort(at.at); err == nil {
					first[host] = true
				}
			}
		}
	}
	for _, host := range c.remoteAPIs(ctx) {
		first[host] = true
	}
	out := slices.Sorted(maps.Keys(first))
	for _, host := range slices.Sorted(maps.Keys(rest)) {
		if !first[host] && host != "" {
			out = append(out, host)
		}
	}
	return out[:min(len(out), maxHosts)], nil
}

// remoteAPIs are the hosts of the API servers in the remote secrets, as far as
// they may be read.
func (c *Cluster) remoteAPIs(ctx context.Context) []string {
	list, err := c.kube.CoreV1().Secrets(c.facts.RootNamespace).List(ctx, metav1.ListOptions{LabelSelector: multiClusterLabel + "=true"})
	if err != nil {
		return nil
	}
	var out []string
	for _, s := range list.Items {
		for _, raw := range s.Data {
			config, err := clientcmd.Load(raw)
			if err != nil {
				continue
			}
			for _, at := range config.Clusters {
				if u, err := url.Parse(at.Server); err == nil && u.Hostname() != "" {
					out = append(out, u.Hostname())
				}
			}
		}
	}
	return out
}

// standsBy says that dials of a pod are made from inside its network.
func (c *Cluster) standsBy(p *corev1.Pod) bool {
	return c.config.Inside || c.guest != nil && c.guest.Knows(p.Status.PodIP)
}

// inside says that dials are made from a pod of the cluster.
func (c *Cluster) inside() bool { return c.config.Inside || c.guest != nil }

// throughGuest dials as a pod of the cluster does. Where the agent did not even
// try nothing is known of the address.
func (c *Cluster) throughGuest(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := c.guest.Dial(ctx, addr)
	lost, ok := errors.AsType[*agentpod.LostError](err)
	if !ok {
		return conn, err
	}
	far := &cluster.OutOfReachError{Addr: addr, Why: lost.Error(), Hint: "check again"}
	if refused, ok := errors.AsType[*agent.DialError](err); ok && refused.Reason == agent.NotNamed {
		far.Why = "it became known after the agent was told what to dial"
	}
	return nil, far
}

// DialOut implements cluster.Egress: from the agent, where there is one, or from
// the pod that this process runs in; else from where this process stands.
func (c *Cluster) DialOut(ctx context.Context, addr string) (net.Conn, error) {
	if c.inside() {
		return c.direct(ctx, addr)
	}
	return new(net.Dialer).DialContext(ctx, "tcp", addr)
}

// needsInside is the hint where only a place in the pod network would do.
func needsInside() string {
	return "meshprobe check --allow-agent looks from inside, and so does a pod of the cluster: kubectl apply -f deploy/"
}

// notInside says why an address is out of reach, and that the way in was closed.
func (c *Cluster) notInside(addr, why string) *cluster.OutOfReachError {
	if c.uninvited != "" {
		why += "; " + c.uninvited
	}
	return &cluster.OutOfReachError{Addr: addr, Why: why, Hint: needsInside()}
}
