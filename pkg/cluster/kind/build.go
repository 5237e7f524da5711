// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kindcluster "sigs.k8s.io/kind/pkg/cluster"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// builder makes one mesh.
type builder struct {
	p        *Provider
	mesh     string
	topology cluster.Topology
	events   cluster.Events
	docker   docker

	scratch   scratch
	config    []byte // of kind, the same for each cluster
	nodes     int    // that it asks for
	istioctl  istioctl
	gateways  []*unstructured.Unstructured // Gateway API
	manifests []*unstructured.Unstructured
	image     string    // of meshprobe, as pods name it
	app       *appImage // nil where the image is there already
}

// prepare looks at everything that can be found wrong before a cluster is made.
func (p *Provider) prepare(ctx context.Context, t cluster.Topology, events cluster.Events) (*builder, error) {
	b := &builder{p: p, mesh: p.Mesh, topology: t, events: events}
	if b.mesh == "" {
		b.mesh = newMesh()
	}
	done := b.begin("", "preflight")
	if err := b.readInput(); err != nil {
		return nil, err
	}
	if err := b.readImage(); err != nil {
		return nil, err
	}
	if err := b.preflight(ctx); err != nil {
		return nil, err
	}
	var err error
	if b.istioctl, err = findIstioctl(ctx, p.Istioctl); err != nil {
		return nil, err
	}
	if err := b.existing(); err != nil {
		return nil, err
	}
	if b.scratch, err = newScratch(b.mesh); err != nil {
		return nil, err
	}
	done(fmt.Sprintf("mesh %s, istioctl %s", b.mesh, b.istioctl.version))
	return b, nil
}

// readInput reads the files that flags name.
func (b *builder) readInput() error {
	if err := checkNames(b.mesh, b.topology); err != nil {
		return err
	}
	var err error
	if b.config, b.nodes, err = clusterConfig(b.p.Configs); err != nil {
		return err
	}
	if err := checkYAML("--istio-values", b.p.Values); err != nil {
		return err
	}
	if b.manifests, err = manifests("--istio-manifest", b.p.Manifests); err != nil {
		return err
	}
	if b.p.GatewayAPI == "" {
		b.gateways = gatewayKinds()
		return nil
	}
	if err := mustBeDirectory("--gateway-api", b.p.GatewayAPI); err != nil {
		return err
	}
	b.gateways, err = manifests("--gateway-api", []string{b.p.GatewayAPI})
	return err
}

// readImage decides what the workloads run.
func (b *builder) readImage() error {
	if b.image = b.p.AppImage; b.image != "" {
		return nil
	}
	binary := b.p.AppBinary
	if binary == "" {
		var err error
		if binary, err = os.Executable(); err != nil {
			return failure("name it: --app-binary FILE", "the program of the workloads is not found: %w", err)
		}
	}
	var err error
	if b.app, err = newAppImage(binary); err != nil {
		return err
	}
	b.image = b.app.name
	return nil
}

// begin tells that a step begins; the function it returns tells that it ended.
func (b *builder) begin(member, step string) func(detail string) {
	start := b.p.now()
	b.events.Emit(cluster.Event{Time: start, Cluster: member, Step: step})
	return func(detail string) {
		end := b.p.now()
		b.events.Emit(cluster.Event{Time: end, Cluster: member, Step: step, Detail: detail, Elapsed: max(end.Sub(start), 1)})
	}
}

// build makes all clusters at once. One that fails ends the others.
func (b *builder) build(ctx context.Context) (*cluster.Set, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, b.p.timeout(), errSlow)
	defer cancel()
	images := &archives{b: b}
	group, groupCtx := errgroup.WithContext(ctx)
	members := make([]*member, len(b.topology.Clusters))
	for i, spec := range b.topology.Clusters {
		group.Go(func() error {
			var err error
			members[i], err = b.member(groupCtx, spec, images)
			return err
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
	return b.p.set(b.topology, members, b.close), nil
}

// errSlow is the cause of a set-up that took too long.
var errSlow = errors.New("the set-up took too long")

// member makes one cluster, from nothing to running workloads.
func (b *builder) member(ctx context.Context, spec cluster.ClusterSpec, images *archives) (*member, error) {
	kubeconfig, err := b.create(ctx, spec, images)
	if err != nil {
		return nil, in("create", spec.Name, err)
	}
	a, err := newAPI(kubeconfig)
	if err != nil {
		return nil, in("create", spec.Name, err)
	}
	address, err := b.docker.address(ctx, node(b.mesh, spec.Name))
	if err != nil {
		return nil, in("create", spec.Name, err)
	}
	if err := b.furnish(ctx, a, spec, kubeconfig, address); err != nil {
		return nil, b.tellStuck(ctx, a, err)
	}
	s := state{Mesh: b.mesh, Topology: b.topology, Image: b.image, Created: b.p.now(), Ready: true}
	if err := b.docker.writeState(ctx, spec.Name, s); err != nil {
		return nil, in("workloads", spec.Name, err)
	}
	m, err := b.p.attachMember(ctx, spec, kubeconfig, address)
	return m, in("attach", spec.Name, err)
}

// tellStuck adds what the pods say to an error of a cluster that came up, unless
// it was the user who ended it.
func (b *builder) tellStuck(ctx context.Context, a *api, err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || ctx.Err() != nil && !errors.Is(context.Cause(ctx), errSlow) {
		return err
	}
	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	e.Told = a.stuck(look)
	for _, line := range e.Told {
		if len(e.Hint) == 0 {
			e.Hint = hintFor(line)
		}
	}
	if !errors.Is(context.Cause(ctx), errSlow) {
		return e
	}
	if what := e.Err; errors.Is(what, errSlow) {
		e.Err = fmt.Errorf("%w: %s were not enough", errSlow, b.p.timeout())
	} else {
		e.Err = fmt.Errorf("%w: %s were not enough: %w", errSlow, b.p.timeout(), what)
	}
	e.Hint = append(e.Hint, "give it more time: --setup-timeout "+(2*b.p.timeout()).String())
	return e
}

// furnish installs the mesh and the workloads.
func (b *builder) furnish(ctx context.Context, a *api, spec cluster.ClusterSpec, kubeconfig, address string) error {
	done := b.begin(spec.Name, "install")
	if err := b.install(ctx, a, spec, kubeconfig); err != nil {
		return in("install", spec.Name, err)
	}
	done("istiod is running")
	done = b.begin(spec.Name, "workloads")
	ztunnel, err := a.hasZtunnel(ctx)
	if err != nil {
		return in("workloads", spec.Name, err)
	}
	agents, err := agentObjects(b.image)
	if err != nil {
		return in("workloads", spec.Name, err)
	}
	objects := slices.Concat(eastWest(spec), agents, workloads(spec, b.image, ztunnel))
	if err := a.apply(ctx, objects); err != nil {
		return in("workloads", spec.Name, err)
	}
	if err := a.balance(ctx, address); err != nil {
		return in("gateways", spec.Name, err)
	}
	namespaces, waypoints := []string{rootNamespace, agentNamespace}, []string(nil)
	for _, ns := range spec.Namespaces {
		namespaces = append(namespaces, ns.Name)
		for _, name := range ns.Waypoints() {
			waypoints = append(waypoints, ns.Name+"/"+name)
		}
	}
	if err := a.rolledOut(ctx, namespaces, waypoints); err != nil {
		return in("workloads", spec.Name, err)
	}
	done("gateways and workloads are running")
	return nil
}

// create makes the cluster itself, and loads its images meanwhile.
func (b *builder) create(ctx context.Context, spec cluster.ClusterSpec, images *archives) (string, error) {
	done := b.begin(spec.Name, "create")
	name := clusterName(b.mesh, spec.Name)
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return b.under(groupCtx, spec.Name, func() error {
			err := kinds().Create(name,
				kindcluster.CreateWithRawConfig(b.config),
				kindcluster.CreateWithNodeImage(b.p.NodeImage),
				kindcluster.CreateWithKubeconfigPath(filepath.Join(b.scratch.dir, spec.Name+".kubeconfig")),
				kindcluster.CreateWithRetain(true))
			return b.tellNode(groupCtx, spec.Name, err)
		})
	})
	group.Go(func() error { return images.load(groupCtx, spec.Name) })
	if err := group.Wait(); err != nil {
		return "", err
	}
	kubeconfig, err := kinds().KubeConfig(name, false)
	if err != nil {
		return "", err
	}
	done("Kubernetes is running")
	return kubeconfig, nil
}

// under runs what knows no context: when the context ends, the cluster is
// removed under it, again and again, until it has ended.
func (b *builder) under(ctx context.Context, member string, f func() error) error {
	var err error
	ended := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		defer close(ended)
		err = f()
	})
	defer running.Wait()
	select {
	case <-ended:
		return err
	case <-ctx.Done():
	}
	again := time.NewTicker(aBit)
	defer again.Stop()
	for {
		_ = b.docker.removeCluster(context.WithoutCancel(ctx), clusterName(b.mesh, member)) // Open does it once more and tells
		select {
		case <-ended:
			return context.Cause(ctx)
		case <-again.C:
		}
	}
}

// close ends the mesh of a Set.
func (b *builder) close(ctx context.Context) error {
	if !b.p.Keep {
		return in("delete", "", b.remove(ctx))
	}
	return in("keep", "", export(b.mesh, b.topology, b.p.Kubeconfig))
}

// export writes the contexts of a mesh to a kubeconfig file.
func export(mesh string, t cluster.Topology, path string) error {
	for _, c := range t.Clusters {
		if err := kinds().ExportKubeConfig(clusterName(mesh, c.Name), path, false); err != nil {
			return err
		}
	}
	return nil
}
