// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/kubeapi"
)

var (
	deploymentsGVR = appsv1.SchemeGroupVersion.WithResource("deployments")
	daemonSetsGVR  = appsv1.SchemeGroupVersion.WithResource("daemonsets")
)

// key names something that needs a look.
type key struct {
	gvr             schema.GroupVersionResource
	namespace, name string
}

// controller plays the deployment, daemon set and endpoint slice controllers,
// the kubelet and istiod's namespace controller of one cluster. One goroutine
// does it all, woken by what is written to the store; by time only where a
// process failed to start and is due to be tried again.
type controller struct {
	in   *instance
	wake chan struct{} // of capacity 1

	mu    sync.Mutex
	queue []key

	// Only the controller's goroutine, or start and stop, which never run
	// beside it, touch these.
	rollouts map[key]*rollout
}

func newController(in *instance) *controller {
	return &controller{in: in, wake: make(chan struct{}, 1), rollouts: map[key]*rollout{}}
}

// start brings up what the store holds, istiod first, and then goes on in a
// goroutine of the instance.
func (c *controller) start(ctx context.Context) error {
	c.subscribe()
	var errs []error
	for _, k := range c.existing() {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.reconcile(ctx, k)
		if r := c.rollouts[k]; r == nil || r.serving == nil {
			errs = append(errs, fmt.Errorf("%s/%s did not become ready: %w", k.namespace, k.name, cmp.Or(r.failure(), ctx.Err(), errNotReady)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	c.in.running.Go(c.run)
	return ctx.Err()
}

var errNotReady = errors.New("no reason given")

// existing lists the Deployments and DaemonSets in the order in which they
// need each other.
func (c *controller) existing() []key {
	var keys []key
	for _, gvr := range []schema.GroupVersionResource{deploymentsGVR, daemonSetsGVR} {
		objects, _, err := c.in.store.List(gvr, "", nil)
		if err != nil {
			c.in.log.Error("list", "resource", gvr.Resource, "err", err)
		}
		for _, o := range objects {
			if k, ok := keyOf(gvr, o); ok {
				keys = append(keys, k)
			}
		}
	}
	rank := func(k key) int {
		switch {
		case k.name == istiodName && k.namespace == rootNamespace:
			return 0
		case k.gvr == daemonSetsGVR:
			return 1
		case k.namespace == rootNamespace:
			return 2
		}
		return 3
	}
	slices.SortStableFunc(keys, func(a, b key) int { return rank(a) - rank(b) })
	return keys
}

func (c *controller) subscribe() {
	on := func(gvr schema.GroupVersionResource, wanted func(kubeapi.Event) bool) {
		c.in.release = append(c.in.release, c.in.store.Subscribe(gvr, func(e kubeapi.Event) {
			if k, ok := keyOf(gvr, e.Object); ok && wanted(e) {
				c.enqueue(k)
			}
		}))
	}
	specChanged := func(e kubeapi.Event) bool {
		return e.Type != watch.Modified || generationOf(e.Object) != generationOf(e.Old)
	}
	on(deploymentsGVR, specChanged)
	on(daemonSetsGVR, specChanged)
	on(namespacesGVR, func(e kubeapi.Event) bool { return e.Type == watch.Added })
	on(configMapsGVR, func(e kubeapi.Event) bool {
		k, _ := keyOf(configMapsGVR, e.Object)
		return e.Type == watch.Deleted && k.name == rootConfigMap
	})
	on(servicesGVR, func(kubeapi.Event) bool { return true })
	on(podsGVR, func(e kubeapi.Event) bool { return e.Type == watch.Deleted })
	on(kubeGatewayGVR, func(kubeapi.Event) bool { return true })
	on(secretsGVR, func(e kubeapi.Event) bool {
		k, _ := keyOf(secretsGVR, e.Object)
		return k.namespace == rootNamespace && (k.name == pluginName || k.name == selfSignedName)
	})
}

func keyOf(gvr schema.GroupVersionResource, o runtime.Object) (key, bool) {
	m, ok := o.(interface {
		GetNamespace() string
		GetName() string
	})
	if !ok {
		return key{}, false
	}
	return key{gvr, m.GetNamespace(), m.GetName()}, true
}

func generationOf(o runtime.Object) int64 {
	m, ok := o.(interface{ GetGeneration() int64 })
	if !ok {
		return 0
	}
	return m.GetGeneration()
}

func (c *controller) enqueue(k key) {
	c.mu.Lock()
	if !slices.Contains(c.queue, k) {
		c.queue = append(c.queue, k)
	}
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *controller) next() (key, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		return key{}, false
	}
	k := c.queue[0]
	c.queue = c.queue[1:]
	return k, true
}

// run works the queue off until the instance closes.
func (c *controller) run() {
	for {
		for k, ok := c.next(); ok && c.in.ctx.Err() == nil; k, ok = c.next() {
			c.reconcile(c.in.ctx, k)
		}
		due, stop := c.backOff()
		select {
		case <-c.in.ctx.Done():
			stop()
			return
		case <-c.wake:
		case <-due:
			c.retryFailed(c.in.ctx)
		}
		stop()
	}
}

// The kubelet's crash loop waits 10 s to 5 min, the agent less; nobody here
// gains by such patience.
const (
	shortestBackOff = time.Second
	longestBackOff  = 30 * time.Second
)

// backOff fires when the next failed process is to be tried again; never while
// all run.
func (c *controller) backOff() (due <-chan time.Time, stop func()) {
	wait := time.Duration(0)
	for _, r := range c.rollouts {
		if r.failing != nil {
			next := min(shortestBackOff<<min(r.failing.restarts, 5), longestBackOff)
			if wait == 0 || next < wait {
				wait = next
			}
		}
	}
	if wait == 0 {
		return nil, func() {}
	}
	t := time.NewTimer(wait)
	return t.C, func() { t.Stop() }
}

// reconcile makes the world follow one object.
func (c *controller) reconcile(ctx context.Context, k key) {
	var err error
	switch k.gvr {
	case deploymentsGVR, daemonSetsGVR:
		err = c.reconcileRollout(ctx, k)
	case namespacesGVR:
		if d := c.in.istiod.Load(); d != nil {
			err = d.writeRoot(k.name)
		}
	case configMapsGVR:
		if d := c.in.istiod.Load(); d != nil {
			err = d.writeRoot(k.namespace)
		}
	case servicesGVR:
		err = c.writeSlice(k.namespace, k.name)
	case podsGVR:
		err = c.replace(ctx, k)
	case kubeGatewayGVR:
		err = c.labelGatewayService(k)
	case secretsGVR:
		// What the crash loop of an istiod waits for.
		c.retryFailed(ctx)
	}
	if err != nil && ctx.Err() == nil {
		c.in.log.Warn("reconcile", "resource", k.gvr.Resource, "namespace", k.namespace, "name", k.name, "err", err)
	}
}

// retryFailed starts again what failed to start: a container in its crash
// loop, an agent that got no certificate.
func (c *controller) retryFailed(ctx context.Context) {
	for k, r := range c.rollouts {
		if r.failing != nil {
			c.reconcile(ctx, k)
		}
	}
}

// stop ends all processes; the goroutine has ended.
func (c *controller) stop() {
	// Those that hold certificates of others last.
	for _, r := range c.rollouts {
		if r.serving != nil {
			r.serving.process.stop()
		}
	}
	clear(c.rollouts)
}

// labelGatewayService hands the labels of a Gateway on to its Service, as
// istiod's gateway controller does.
func (c *controller) labelGatewayService(k key) error {
	o, err := c.in.store.Get(k.gvr, k.namespace, k.name)
	if err != nil {
		return ignoreNotFound(err)
	}
	gateway, ok := o.(*unstructured.Unstructured)
	if !ok || nestedString(gateway.Object, "spec", "gatewayClassName") != "istio-east-west" {
		return nil
	}
	if o, err = c.in.store.Get(servicesGVR, k.namespace, k.name); err != nil {
		return ignoreNotFound(err)
	}
	s, ok := o.(*corev1.Service)
	if !ok || s.Labels[managedLabel] != managedValue {
		return nil
	}
	want := maps.Clone(gateway.GetLabels())
	if want == nil {
		want = map[string]string{}
	}
	maps.Copy(want, s.Spec.Selector)
	if maps.Equal(want, s.Labels) {
		return nil
	}
	s.Labels = want
	_, err = c.in.store.Update(servicesGVR, s)
	return err
}

// writeSlice makes the endpoints of a service those of its ready pods.
func (c *controller) writeSlice(namespace, name string) error {
	o, err := c.in.store.Get(servicesGVR, namespace, name)
	if err != nil {
		return ignoreNotFound(err)
	}
	s, ok := o.(*corev1.Service)
	if !ok || len(s.Spec.Selector) == 0 {
		return nil
	}
	want := sliceOf(s)
	for _, r := range c.rollouts {
		if r.serving != nil && r.serving.pod.namespace == namespace && selects(s.Spec.Selector, r.serving.pod.labels) {
			want.Endpoints = append(want.Endpoints, endpointOf(r.serving.pod, c.in.nodeName()))
		}
	}
	slices.SortFunc(want.Endpoints, func(a, b discoveryv1.Endpoint) int { return cmp.Compare(a.TargetRef.Name, b.TargetRef.Name) })
	return put(c.in.store, slicesGVR, want)
}

func selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}
