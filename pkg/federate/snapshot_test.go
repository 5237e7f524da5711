// SPDX-License-Identifier: Apache-2.0

package federate_test

import (
	"encoding/json"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

func resources() []schema.GroupVersionResource {
	return []schema.GroupVersionResource{
		{Version: "v1", Resource: "secrets"},
		{Version: "v1", Resource: "configmaps"},
		{Version: "v1", Resource: "namespaces"},
		{Version: "v1", Resource: "services"},
		{Group: "apps", Version: "v1", Resource: "deployments"},
		{Group: "apps", Version: "v1", Resource: "daemonsets"},
		{Group: "networking.istio.io", Version: "v1", Resource: "gateways"},
		{Group: "networking.istio.io", Version: "v1", Resource: "serviceentries"},
		{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"},
	}
}

// snapshot is every object of every cluster that a federation may touch, by
// cluster/resource/namespace/name.
func snapshot(t *testing.T, set *cluster.Set) map[string]*unstructured.Unstructured {
	t.Helper()
	out := map[string]*unstructured.Unstructured{}
	for _, c := range set.Clusters {
		k, ok := cluster.As[cluster.Kube](c)
		if !ok {
			t.Fatal("no Kube")
		}
		for _, r := range resources() {
			l, err := k.Dynamic().Resource(r).List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for i := range l.Items {
				o := &l.Items[i]
				out[c.Name()+"/"+r.GroupResource().String()+"/"+o.GetNamespace()+"/"+o.GetName()] = o
			}
		}
	}
	return out
}

// durable leaves out what the API server and controllers write: all that is
// left must be as it was after a rollback.
func durable(t *testing.T, in map[string]*unstructured.Unstructured) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name, o := range in {
		o = o.DeepCopy()
		for _, f := range []string{"resourceVersion", "uid", "generation", "creationTimestamp", "managedFields"} {
			unstructured.RemoveNestedField(o.Object, "metadata", f)
		}
		delete(o.Object, "status")
		text, err := json.MarshalIndent(o, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		out[name] = string(text)
	}
	return out
}
