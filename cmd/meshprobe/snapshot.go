// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// touched are the kinds of objects that a federation may touch.
func touched() []schema.GroupVersionResource {
	return []schema.GroupVersionResource{
		{Version: "v1", Resource: "secrets"},
		{Version: "v1", Resource: "configmaps"},
		{Version: "v1", Resource: "namespaces"},
		{Version: "v1", Resource: "services"},
		{Version: "v1", Resource: "serviceaccounts"},
		{Group: "apps", Version: "v1", Resource: "deployments"},
		{Group: "apps", Version: "v1", Resource: "daemonsets"},
		{Group: "networking.istio.io", Version: "v1", Resource: "gateways"},
		{Group: "networking.istio.io", Version: "v1", Resource: "serviceentries"},
		{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"},
	}
}

// snapshot is a digest of every such object, by cluster/resource/namespace/name,
// without what the API server and the controllers write. A digest, so that no
// key stays in memory for the comparison.
func snapshot(ctx context.Context, set *cluster.Set) (map[string][sha256.Size]byte, error) {
	out := map[string][sha256.Size]byte{}
	for _, c := range set.Clusters {
		k, ok := cluster.As[cluster.Kube](c)
		if !ok {
			continue
		}
		for _, r := range touched() {
			list, err := k.Dynamic().Resource(r).List(ctx, metav1.ListOptions{})
			if err != nil {
				return nil, fmt.Errorf("list %s of %s: %w", r.Resource, c.Name(), err)
			}
			for _, o := range list.Items {
				for _, field := range []string{"resourceVersion", "uid", "generation", "creationTimestamp", "managedFields"} {
					unstructured.RemoveNestedField(o.Object, "metadata", field)
				}
				delete(o.Object, "status")
				text, err := json.Marshal(o.Object)
				if err != nil {
					return nil, fmt.Errorf("%s of %s: %w", r.Resource, c.Name(), err)
				}
				out[c.Name()+"/"+r.GroupResource().String()+"/"+o.GetNamespace()+"/"+o.GetName()] = sha256.Sum256(text)
			}
		}
	}
	return out, nil
}

// differing names what is not the same in both.
func differing(before, after map[string][sha256.Size]byte) []string {
	names := map[string]bool{}
	for name, digest := range before {
		if got, ok := after[name]; !ok || got != digest {
			names[name] = true
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
