// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/kubeapi"
)

// instance is one embedded cluster.
type instance struct {
	*mesh
	spec  cluster.ClusterSpec
	log   *slog.Logger
	addrs addresses

	api   *kubeapi.Server
	store *kubeapi.Store
	kube  kubernetes.Interface
	dyn   dynamic.Interface

	ctx     context.Context //nolint:containedctx // the life of the cluster, ended by Close
	cancel  context.CancelFunc
	running sync.WaitGroup // the controllers
	release []func()       // subscriptions and published addresses

	generation atomic.Uint64 // of the objects that a registry is made of
	credential atomic.Uint64 // of the objects that a token stands on
	reading    sync.Mutex
	snapshot   atomic.Pointer[snapshot]

	controller *controller
	istiod     atomic.Pointer[istiod]  // the one that serves, nil before the first
	ztunnel    atomic.Pointer[ztunnel] // the one that serves, nil before the first
	identities identityCache
	turn       atomic.Uint64 // of the load balancing
	known      atomic.Pointer[knownSecrets]
	earlier    earlier // remote secrets
	agents     agents
	balancers  balancers
	shift      atomic.Int64 // of the processes' clock, in nanoseconds

	closeOnce sync.Once
	closeErr  error
}

// snapshot is a registry and the generation that it is of.
type snapshot struct {
	generation uint64
	registry   *registry
}

var (
	_ cluster.Cluster    = (*instance)(nil)
	_ cluster.Kube       = (*instance)(nil)
	_ cluster.Identities = (*instance)(nil)
	_ cluster.Bundles    = (*instance)(nil)
	_ cluster.Resolver   = (*instance)(nil)
)

// newInstance starts the API server with the objects of the cluster in it.
// Nothing runs yet. The instance is to be closed even after an error.
func newInstance(ctx context.Context, m *mesh, spec cluster.ClusterSpec, index byte) (*instance, error) {
	in := &instance{mesh: m, spec: spec, log: m.log.With("cluster", spec.Name), addrs: addresses{cluster: index}}
	in.ctx, in.cancel = context.WithCancel(context.WithoutCancel(ctx))
	in.controller = newController(in)
	in.earlier.restarted()
	objects, err := in.objects()
	if err != nil {
		return in, err
	}
	in.api, err = kubeapi.New(ctx, kubeapi.Options{
		Name: spec.Name, Now: m.now, Objects: objects,
		Admins: []string{rootNamespace + "/" + istiodName},
	})
	if err != nil {
		return in, err
	}
	in.store = in.api.Store()
	if in.kube, err = in.api.Clientset(); err != nil {
		return in, err
	}
	if in.dyn, err = in.api.Dynamic(); err != nil {
		return in, err
	}
	m.mu.Lock()
	m.byURL[in.api.URL()] = in
	m.mu.Unlock()
	return in, nil
}

// objects is the cluster as its installation left it, statuses included where
// no controller of ours writes them.
func (in *instance) objects() ([]runtime.Object, error) {
	vip := func() string { return in.addrs.service().String() }
	objects, err := baseObjects(in.spec, in.nodeName())
	if err != nil {
		return nil, err
	}
	sidecar, ambient := in.addrs.external()
	for _, o := range systemObjects(in.spec.Name, vip) {
		if s, ok := o.(*corev1.Service); ok {
			switch s.Name {
			case gatewayName:
				setIngress(s, sidecar)
			case ambientGateway:
				setIngress(s, ambient)
			}
		}
		objects = append(objects, o)
	}
	programGateway(objects, ambient, metav1.NewTime(in.now()))
	for _, ns := range in.spec.Namespaces {
		objects = append(objects, workloadObjects(ns, vip)...)
		for _, name := range ns.Waypoints() {
			objects = append(objects, waypointObjects(ns.Name, name, vip(), metav1.NewTime(in.now()))...)
		}
	}
	return objects, nil
}

func setIngress(s *corev1.Service, addr netip.Addr) {
	s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: addr.String(), IPMode: new(corev1.LoadBalancerIPModeVIP)}}
}

func (in *instance) nodeName() string { return in.spec.Name + "-control-plane" }

// bringUp starts the controllers and returns when everything runs.
func (in *instance) bringUp(ctx context.Context) error {
	in.release = append(in.release, in.net.Attach(in.spec.Network, in.addrs.node()))
	for _, gvr := range registrySources() {
		in.release = append(in.release, in.store.Subscribe(gvr, func(kubeapi.Event) { in.generation.Add(1) }))
	}
	in.release = append(in.release, in.store.Subscribe(secretsGVR, in.earlier.changed))
	for _, gvr := range []schema.GroupVersionResource{secretsGVR, accountsGVR} {
		in.release = append(in.release, in.store.Subscribe(gvr, func(kubeapi.Event) { in.credential.Add(1) }))
	}
	sidecar, ambient := in.addrs.external()
	for _, a := range []netip.Addr{sidecar, ambient} {
		in.release = append(in.release, in.net.Publish(a, func(port uint16) (string, netip.AddrPort, bool) {
			to, ok := in.balance(a, port)
			return in.spec.Network, to, ok
		}))
	}
	return in.controller.start(ctx)
}

// local is what the cluster's own control plane knows of it right now.
func (in *instance) local() *registry {
	if s := in.snapshot.Load(); s != nil && s.generation == in.generation.Load() {
		return s.registry
	}
	in.reading.Lock()
	defer in.reading.Unlock()
	// Read before the objects: a write in between makes the next caller read again.
	generation := in.generation.Load()
	if s := in.snapshot.Load(); s != nil && s.generation == generation {
		return s.registry
	}
	r, err := readRegistry(in.ctx, func(_ context.Context, gvr schema.GroupVersionResource) ([]runtime.Object, error) {
		objects, _, err := in.store.List(gvr, "", nil)
		return objects, err
	})
	if err != nil {
		// istiod goes on with the last configuration that it could read.
		in.log.Warn("configuration not read", "err", err)
		if s := in.snapshot.Load(); s != nil {
			return s.registry
		}
		r = &registry{}
	}
	in.snapshot.Store(&snapshot{generation, r})
	return r
}

// Name implements cluster.Cluster.
func (in *instance) Name() string { return in.spec.Name }

// Network implements cluster.Cluster.
func (in *instance) Network() string { return in.spec.Network }

// TrustDomain implements cluster.Cluster: what the mesh configuration says now.
func (in *instance) TrustDomain() string { return in.local().mesh.TrustDomain }

// TrustDomainAliases implements cluster.Cluster.
func (in *instance) TrustDomainAliases() []string {
	return slices.Clone(in.local().mesh.TrustDomainAliases)
}

// Kubernetes implements cluster.Kube with an administrator's client.
func (in *instance) Kubernetes() kubernetes.Interface { return in.kube }

// Dynamic implements cluster.Kube with an administrator's client.
func (in *instance) Dynamic() dynamic.Interface { return in.dyn }

// APIServer implements cluster.Kube.
func (in *instance) APIServer() cluster.APIServer {
	return cluster.APIServer{URL: in.api.URL(), CA: in.api.CA()}
}

// Workloads implements cluster.Cluster.
func (in *instance) Workloads(ctx context.Context) ([]cluster.Workload, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := in.local()
	var out []cluster.Workload
	for _, ns := range in.spec.Namespaces {
		for _, w := range ns.Workloads {
			if pod := r.workloadPod(ns.Name, w.Name); pod != nil {
				out = append(out, in.workload(ns.Name, w, pod))
			}
		}
	}
	return out, nil
}

// workloadPod is the newest ready pod of a workload.
func (r *registry) workloadPod(namespace, name string) *podView {
	var newest *podView
	for _, p := range r.pods {
		if p.ready && p.namespace == namespace && p.labels[workloadLabel] == name && (newest == nil || newest.addr.Less(p.addr)) {
			newest = p
		}
	}
	return newest
}

func (in *instance) workload(namespace string, spec cluster.WorkloadSpec, pod *podView) cluster.Workload {
	w := cluster.Workload{
		Ref:            cluster.Ref{Cluster: in.spec.Name, Namespace: namespace, Name: spec.Name},
		ServiceAccount: pod.serviceAccount, DataPlane: pod.dataPlane, MTLS: pod.mtls,
		Proxy: cluster.ProxyGo, Network: in.spec.Network, Address: pod.addr,
		HBONE: pod.dataPlane == cluster.Sidecar && pod.labels[tunnelLabel] == "http",
	}
	if s := spec.Service; s != nil {
		w.Service = &cluster.Service{Name: s.Name, Host: s.Host(namespace), Port: s.Port, Protocol: s.Protocol}
	}
	return w
}

// Close implements cluster.Cluster: processes first, then the API.
func (in *instance) Close(context.Context) error {
	in.closeOnce.Do(func() {
		in.cancel()
		in.running.Wait()
		in.balancers.close()
		in.controller.stop()
		for _, f := range in.release {
			f()
		}
		if in.api != nil {
			in.mesh.mu.Lock()
			delete(in.byURL, in.api.URL())
			in.mesh.mu.Unlock()
			if err := in.api.Close(); err != nil {
				in.closeErr = fmt.Errorf("embedded: close %s: %w", in.spec.Name, err)
			}
		}
	})
	return in.closeErr
}
