// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"context"
	"encoding/json"
	"errors"
	"net"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/live"
)

// apiPort is that of the API server inside a node.
const apiPort = "6443"

// member is one cluster of a mesh: a live cluster whose API other clusters reach
// at its node, not at the port that this machine has for it.
type member struct {
	*live.Cluster
	api cluster.APIServer
}

var (
	_ cluster.Cluster = (*member)(nil)
	_ cluster.Kube    = (*member)(nil)
)

// APIServer is the address of the API on the network that all nodes share.
func (m *member) APIServer() cluster.APIServer { return m.api }

// Unwrap is the live cluster.
func (m *member) Unwrap() cluster.Cluster { return m.Cluster }

// attachMember reaches a running cluster.
func (p *Provider) attachMember(ctx context.Context, spec cluster.ClusterSpec, kubeconfig, address string) (*member, error) {
	config, err := clientcmd.RESTConfigFromKubeConfig([]byte(kubeconfig))
	if err != nil {
		return nil, errors.New("the kubeconfig cannot be read") // the cause may quote it
	}
	way := &inside{}
	c, err := live.Attach(ctx, live.Config{
		Spec: spec, REST: config, RootNamespace: rootNamespace, Inside: true,
		Options: live.Options{Write: true, Now: p.Now, Direct: way.dial}, // the cluster is ours
	})
	if err != nil {
		return nil, err
	}
	way.kube, way.forward = c.Kubernetes, c.Forward
	return &member{Cluster: c, api: cluster.APIServer{URL: "https://" + net.JoinHostPort(address, apiPort), CA: c.APIServer().CA}}, nil
}

// set gathers the clusters of a mesh.
func (p *Provider) set(t cluster.Topology, members []*member, onClose func(context.Context) error) *cluster.Set {
	clusters, lives := make([]cluster.Cluster, len(members)), make([]*live.Cluster, len(members))
	for i, m := range members {
		clusters[i], lives[i] = m, m.Cluster
	}
	live.Join(lives...)
	return cluster.NewSet(Name, t, clusters, onClose)
}

// attach reaches a mesh that was made before.
func (p *Provider) attach(ctx context.Context, t cluster.Topology, events cluster.Events) (*cluster.Set, error) {
	b := &builder{p: p, mesh: p.Reuse, topology: t, events: events}
	found, err := Find(ctx, p.Reuse)
	if err != nil {
		return nil, in("attach", "", err)
	}
	if !same(found.Topology, t) {
		return nil, in("attach", "", failure("use its own topology: leave out --topology and --clusters", "the mesh %s was made with another topology", p.Reuse))
	}
	group, groupCtx := errgroup.WithContext(ctx)
	members := make([]*member, len(t.Clusters))
	for i, spec := range t.Clusters {
		group.Go(func() error {
			done := b.begin(spec.Name, "attach")
			var err error
			if members[i], err = p.reach(groupCtx, spec); err != nil {
				return in("attach", spec.Name, err)
			}
			done("Kubernetes and istiod answer")
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		for _, m := range members {
			if m != nil {
				err = errors.Join(err, m.Close(context.WithoutCancel(ctx)))
			}
		}
		return nil, err
	}
	return p.set(t, members, nil), nil
}

func (p *Provider) reach(ctx context.Context, spec cluster.ClusterSpec) (*member, error) {
	name := clusterName(p.Reuse, spec.Name)
	kubeconfig, err := kinds().KubeConfig(name, false)
	if err != nil {
		return nil, err
	}
	address, err := docker{}.address(ctx, node(p.Reuse, spec.Name))
	if err != nil {
		return nil, err
	}
	return p.attachMember(ctx, spec, kubeconfig, address)
}

// same compares topologies by what they say.
func same(a, b cluster.Topology) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// Find says what a mesh is that was made before. It fails where there is none of
// that name, or where its set-up never came to its end.
func Find(ctx context.Context, mesh string) (Found, error) {
	all, err := List(ctx)
	if err != nil {
		return Found{}, err
	}
	var names []string
	for _, f := range all {
		if f.Mesh == mesh && f.Ready {
			return f, nil
		}
		if f.Mesh == mesh {
			return Found{}, failure("remove it and make it again: meshprobe clusters delete "+mesh, "the set-up of the mesh %s never came to its end", mesh)
		}
		names = append(names, f.Mesh)
	}
	hint := cluster.DidYouMean(mesh, names)
	if hint == "" {
		hint = "make one: meshprobe clusters create --name " + mesh
	}
	return Found{}, failure(hint, "there is no mesh %q", mesh)
}
