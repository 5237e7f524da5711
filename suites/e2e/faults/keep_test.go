// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"reflect"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/fault"
)

const system = "istio-system"

var (
	secrets      = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	clusterRoles = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"}
)

// place is where objects are that a fault may change.
type place struct {
	schema.GroupVersionResource
	namespace string
}

// places are those of a cluster.
func (m *mesh) places(name string) []place {
	out := []place{
		{secrets, system},
		{configMaps, system},
		{gateways, system},
		{deployments, system},
		{namespaces, ""},
		{clusterRoles, ""},
	}
	spec, _ := m.set.Topology.Spec(name)
	for _, ns := range spec.Namespaces {
		out = append(out, place{policies, ns.Name}, place{configMaps, ns.Name})
	}
	return out
}

// kept is a mesh as it was.
type kept map[string]map[place]map[string]*unstructured.Unstructured // by cluster, by name

// keep reads what a fault may change.
func (m *mesh) keep(t *testing.T) kept {
	t.Helper()
	out := kept{}
	for _, c := range m.set.Clusters {
		out[c.Name()] = map[place]map[string]*unstructured.Unstructured{}
		for _, p := range m.places(c.Name()) {
			out[c.Name()][p] = m.objects(t, c.Name(), p)
		}
	}
	return out
}

func (m *mesh) objects(t *testing.T, name string, p place) map[string]*unstructured.Unstructured {
	t.Helper()
	out := map[string]*unstructured.Unstructured{}
	for _, o := range m.list(t, name, p.GroupVersionResource, p.namespace, "") {
		if ours(p, &o) {
			out[o.GetName()] = &o
		}
	}
	return out
}

// ours are the objects that no controller writes all the time.
func ours(p place, o *unstructured.Unstructured) bool {
	switch p.GroupVersionResource {
	case configMaps:
		return o.GetName() == "istio" || o.GetName() == "istio-ca-root-cert"
	case namespaces:
		return o.GetName() == system
	case clusterRoles:
		return o.GetName() == istiodRole
	}
	return true
}

// restore puts everything back as it was, and starts anew what read it at its
// start. It does so also when the test has failed.
func (m *mesh) restore(t *testing.T, before kept) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Minute)
	defer cancel()
	restarts, ctx := errgroup.WithContext(ctx)
	for _, c := range m.set.Clusters {
		name, restart := c.Name(), false
		for _, p := range m.places(name) {
			changed := m.putBack(ctx, t, name, p, before[name][p])
			for _, object := range changed {
				restart = restart || object == "cacerts" || object == "istio-ca-secret" || object == "istio" && p.GroupVersionResource == configMaps
			}
			if p.GroupVersionResource != deployments {
				continue
			}
			for _, d := range changed {
				m.rolledOut(t, name, deployments, system, d)
			}
		}
		if !restart {
			continue
		}
		restarts.Go(func() error { return fault.Restart(ctx, m.set, name) })
	}
	if err := restarts.Wait(); err != nil {
		t.Fatal(err)
	}
}

// putBack returns the names of the objects that were not as they were.
func (m *mesh) putBack(ctx context.Context, t *testing.T, name string, p place, before map[string]*unstructured.Unstructured) []string {
	t.Helper()
	var changed []string
	api := m.api(t, name).Dynamic().Resource(p.GroupVersionResource).Namespace(p.namespace)
	now := m.objects(t, name, p)
	for object := range now {
		if before[object] != nil {
			continue
		}
		changed = append(changed, object)
		if err := api.Delete(ctx, object, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("delete %s: %v", object, err)
		}
	}
	for object, was := range before {
		is := now[object]
		switch {
		case is == nil:
			again := was.DeepCopy()
			again.SetResourceVersion("")
			again.SetUID("")
			if _, err := api.Create(ctx, again, metav1.CreateOptions{}); err != nil {
				t.Errorf("create %s: %v", object, err)
			}
		case !reflect.DeepEqual(essence(p, was), essence(p, is)):
			if p.GroupVersionResource == deployments {
				is.Object["spec"].(map[string]any)["replicas"] = was.Object["spec"].(map[string]any)["replicas"]
			} else {
				version, uid := is.GetResourceVersion(), is.GetUID() // custom resources are not updated without; it may have been made anew
				is.Object = was.DeepCopy().Object
				is.SetResourceVersion(version)
				is.SetUID(uid)
			}
			if _, err := api.Update(ctx, is, metav1.UpdateOptions{}); err != nil {
				t.Errorf("update %s: %v", object, err)
			}
		default:
			continue
		}
		changed = append(changed, object)
	}
	return changed
}

// essence is the part of an object that a fault changes: of a Deployment, how
// often it runs; of others, labels and everything outside metadata and status.
func essence(p place, o *unstructured.Unstructured) map[string]any {
	if p.GroupVersionResource == deployments {
		n, _, _ := unstructured.NestedInt64(o.Object, "spec", "replicas") // absent is 0, which no Deployment of a mesh has
		return map[string]any{"replicas": n}
	}
	out := map[string]any{"labels": o.GetLabels()}
	for k, v := range o.Object {
		if k != "metadata" && k != "status" {
			out[k] = v
		}
	}
	return out
}
