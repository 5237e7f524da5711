// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

type resource = schema.GroupVersionResource

var (
	deployments = appsv1.SchemeGroupVersion.WithResource("deployments")
	daemonSets  = appsv1.SchemeGroupVersion.WithResource("daemonsets")
)

const istiod = "istiod"

// Bounds of the wait for a rollout.
const (
	settle     = 30 * time.Second
	settleReal = 5 * time.Minute
)

// restartIstiod is kubectl rollout restart deployment/istiod, and the wait for
// it.
func (v *victim) restartIstiod(ctx context.Context) error {
	return v.restart(ctx, rollout{deployments, system, istiod})
}

// rollout names what a rollout is of.
type rollout struct {
	resource
	namespace, name string
}

// restartRest restarts all that holds a certificate, save what is in the
// namespaces left out.
func (v *victim) restartRest(ctx context.Context, leftOut ...string) error {
	var all []rollout
	for r, namespaces := range map[resource][]string{daemonSets: {system}, deployments: v.meshed()} {
		for _, ns := range namespaces {
			list, err := v.dyn.Resource(r).Namespace(ns).List(ctx, metav1.ListOptions{})
			if err != nil {
				return fmt.Errorf("list %s of %s: %w", r.Resource, ns, err)
			}
			for _, d := range list.Items {
				if (d.GetName() != istiod || ns != system) && !slices.Contains(leftOut, ns) {
					all = append(all, rollout{r, ns, d.GetName()})
				}
			}
		}
	}
	return v.restart(ctx, all...)
}

// meshed are the namespaces whose pods hold certificates.
func (v *victim) meshed() []string {
	out := []string{system}
	spec, _ := v.set.Topology.Spec(v.Name())
	for _, ns := range spec.Namespaces {
		out = append(out, ns.Name)
	}
	return out
}

// restartAll does it in the order in which trust moves, save what is in the
// namespaces left out.
func (v *victim) restartAll(ctx context.Context, leftOut ...string) error {
	if err := v.restartIstiod(ctx); err != nil {
		return err
	}
	if err := v.rootsTold(ctx); err != nil {
		return err
	}
	return v.restartRest(ctx, leftOut...)
}

// Restart starts istiod of a cluster anew, then everything else that holds a
// certificate, and returns when all of it runs.
func Restart(ctx context.Context, set *cluster.Set, name string) error {
	v, err := newVictim(set, name)
	if err == nil {
		err = v.restartAll(ctx)
	}
	if err != nil {
		return fmt.Errorf("fault: restart of %s: %w", name, err)
	}
	return nil
}

func (v *victim) restart(ctx context.Context, all ...rollout) error {
	// Nanoseconds, because two restarts in one second would be one.
	text := fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":%q}}}}}`, time.Now().Format(time.RFC3339Nano))
	for _, r := range all {
		if err := v.patch(ctx, r.resource, r.namespace, r.name, text); err != nil {
			return err
		}
	}
	for _, r := range all {
		if err := v.rolledOut(ctx, r.resource, r.namespace, r.name); err != nil {
			return err
		}
	}
	return nil
}

// rolledOut is kubectl rollout status.
func (v *victim) rolledOut(ctx context.Context, r resource, namespace, name string) error {
	patience := settle
	if v.lab == nil {
		patience = settleReal
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return RolledOut(ctx, v.dyn, r, namespace, name)
}

// RolledOut waits until a Deployment or a DaemonSet runs its present template and
// nothing else, as kubectl rollout status does. It goes on when a watch ends: an
// API server and a client's time limit both end one.
func RolledOut(ctx context.Context, api dynamic.Interface, r schema.GroupVersionResource, namespace, name string) error {
	objects := api.Resource(r).Namespace(namespace)
	only := fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	feed := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = only
			return objects.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = only
			return objects.Watch(ctx, o)
		},
	}
	_, err := watchtools.UntilWithSync(ctx, feed, &unstructured.Unstructured{}, nil, func(e watch.Event) (bool, error) {
		o, ok := e.Object.(*unstructured.Unstructured)
		return ok && e.Type != watch.Deleted && complete(r, o), nil
	})
	if err != nil {
		return fmt.Errorf("%s %s/%s does not come up: %w", r.Resource, namespace, name, err)
	}
	return nil
}

func complete(r resource, o *unstructured.Unstructured) bool {
	n := func(path ...string) int64 {
		v, _, err := unstructured.NestedInt64(o.Object, path...)
		if err != nil {
			return -1
		}
		return v
	}
	if n("status", "observedGeneration") != o.GetGeneration() {
		return false
	}
	if r == daemonSets {
		want := n("status", "desiredNumberScheduled")
		return n("status", "updatedNumberScheduled") == want && n("status", "numberAvailable") == want
	}
	want, set, err := unstructured.NestedInt64(o.Object, "spec", "replicas")
	if err != nil || !set {
		want = 1
	}
	return n("status", "replicas") == want && n("status", "updatedReplicas") == want && n("status", "availableReplicas") == want
}
