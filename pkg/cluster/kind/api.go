// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	kubeyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"
)

// Labels on what this package makes.
const (
	labelManaged = "app.kubernetes.io/managed-by"
	managedBy    = "meshprobe"
	labelNetwork = "topology.istio.io/network"
)

// Pauses between looks at something that is coming up.
const (
	soon  = 200 * time.Millisecond
	aBit  = 500 * time.Millisecond
	brief = 100 * time.Millisecond
)

// api is the Kubernetes API of one cluster, with every right.
type api struct {
	kube   kubernetes.Interface
	dyn    dynamic.Interface
	mapper *restmapper.DeferredDiscoveryRESTMapper
}

// newAPI reaches the cluster that a kubeconfig leads to.
func newAPI(kubeconfig string) (*api, error) {
	config, err := clientcmd.RESTConfigFromKubeConfig([]byte(kubeconfig))
	if err != nil {
		return nil, errors.New("the kubeconfig cannot be read") // the cause may quote it
	}
	config.QPS, config.Burst = 100, 200
	config.UserAgent = managedBy
	config.WarningHandler = rest.NoWarnings{}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(kube.Discovery()))
	return &api{kube: kube, dyn: dyn, mapper: mapper}, nil
}

// apply makes objects what they are here, in their order, but what others live
// in first: kinds, then namespaces.
func (a *api) apply(ctx context.Context, objects []*unstructured.Unstructured) error {
	ordered := slices.Clone(objects)
	slices.SortStableFunc(ordered, func(x, y *unstructured.Unstructured) int { return rank(x) - rank(y) })
	for i, o := range ordered {
		if i > 0 && rank(ordered[i-1]) == 0 && rank(o) != 0 {
			if err := a.awaitKinds(ctx, ordered[:i]); err != nil {
				return err
			}
		}
		if err := a.applyOne(ctx, o); err != nil {
			return fmt.Errorf("%s %s: %w", strings.ToLower(o.GetKind()), o.GetName(), err)
		}
	}
	if n := len(ordered); n > 0 && rank(ordered[n-1]) == 0 {
		return a.awaitKinds(ctx, ordered)
	}
	return nil
}

func rank(o *unstructured.Unstructured) int {
	switch o.GetKind() {
	case "CustomResourceDefinition":
		return 0
	case "Namespace":
		return 1
	}
	return 2
}

// applyOne tries again while its kind or a webhook is not there yet, for as
// long as the context allows, and at most a while.
func (a *api) applyOne(ctx context.Context, o *unstructured.Unstructured) error {
	data, err := json.Marshal(o.Object)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var last error
	err = wait.PollUntilContextCancel(ctx, aBit, true, func(ctx context.Context) (bool, error) {
		res, err := a.resource(o.GroupVersionKind(), o.GetNamespace())
		if err == nil {
			_, err = res.Patch(ctx, o.GetName(), types.ApplyPatchType, data, metav1.PatchOptions{FieldManager: managedBy, Force: new(true)})
		}
		last = err
		return err == nil, lasting(err)
	})
	if err != nil && last != nil {
		return last
	}
	return err
}

// resource finds where objects of a kind are kept.
func (a *api) resource(kind schema.GroupVersionKind, namespace string) (dynamic.ResourceInterface, error) {
	mapping, err := a.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		a.mapper.Reset()
	}
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		if namespace == "" {
			namespace = metav1.NamespaceDefault
		}
		return a.dyn.Resource(mapping.Resource).Namespace(namespace), nil
	}
	return a.dyn.Resource(mapping.Resource), nil
}

// awaitKinds waits until the API serves the kinds that were defined.
func (a *api) awaitKinds(ctx context.Context, objects []*unstructured.Unstructured) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	crds := a.dyn.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	for _, o := range objects {
		if rank(o) != 0 {
			continue
		}
		err := wait.PollUntilContextCancel(ctx, brief, true, func(ctx context.Context) (bool, error) {
			have, err := crds.Get(ctx, o.GetName(), metav1.GetOptions{})
			if err != nil {
				return false, nil //nolint:nilerr // asked again
			}
			return condition(have, "Established"), nil
		})
		if err != nil {
			return fmt.Errorf("%s is not served: %w", o.GetName(), err)
		}
	}
	a.mapper.Reset()
	return nil
}

// condition reports whether an object says True of itself.
func condition(o *unstructured.Unstructured, name string) bool {
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions") // none
	return slices.ContainsFunc(list, func(c any) bool {
		m, ok := c.(map[string]any)
		return ok && m["type"] == name && m["status"] == "True"
	})
}

// parse reads the documents of a manifest.
func parse(data []byte) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	r := kubeyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		doc, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(doc, &o.Object); err != nil {
			return nil, err
		}
		if len(o.Object) == 0 {
			continue
		}
		if o.GetKind() == "" || o.GetAPIVersion() == "" || o.GetName() == "" {
			return nil, errors.New("a document has no apiVersion, kind or name")
		}
		out = append(out, o)
	}
}

// manifests reads the files that a flag names; a directory stands for the YAML
// files in it.
func manifests(flag string, paths []string) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for _, path := range paths {
		files := []string{path}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			if files, err = filepath.Glob(filepath.Join(path, "*.yaml")); err != nil || len(files) == 0 {
				return nil, failure("name a directory with .yaml files", "%s: %s holds no manifest", flag, path)
			}
		}
		for _, file := range files {
			data, err := readFile(flag, file)
			if err != nil {
				return nil, err
			}
			objects, err := parse(data)
			if err != nil {
				return nil, failure("the file must hold Kubernetes objects in YAML", "%s: %s: %w", flag, file, err)
			}
			out = append(out, objects...)
		}
	}
	return out, nil
}
