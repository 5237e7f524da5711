// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
)

const rootConfigMap = "istio-ca-root-cert"

// rootNamespaces are the namespaces into which istiod writes its root: all but
// a few (istio pilot/pkg/serviceregistry/kube/controller/namespacecontroller.go),
// or, where discoverySelectors limit it, those that have it already.
func (m *member) rootNamespaces(ctx context.Context) ([]string, error) {
	items, err := m.list(ctx, namespaces, "", "")
	if err != nil {
		return nil, err
	}
	limited, err := m.limited(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, n := range items {
		phase, _, _ := unstructured.NestedString(n.Object, "status", "phase") // absent is Active
		if phase == "Terminating" || slices.Contains([]string{"kube-public", "kube-node-lease", "local-path-storage"}, n.GetName()) {
			continue
		}
		if limited {
			have, err := m.get(ctx, configMaps, n.GetName(), rootConfigMap)
			if err != nil {
				return nil, err
			}
			if have == nil {
				continue
			}
		}
		out = append(out, n.GetName())
	}
	return out, nil
}

// limited reports whether the mesh configuration has discoverySelectors.
func (m *member) limited(ctx context.Context) (bool, error) {
	cm, err := m.get(ctx, configMaps, m.ns, "istio")
	if err != nil || cm == nil {
		return false, err
	}
	text, _, _ := unstructured.NestedString(cm.Object, "data", "mesh") // no mesh configuration, no selectors
	var mesh struct {
		DiscoverySelectors []any `json:"discoverySelectors"`
	}
	if err := yaml.Unmarshal([]byte(text), &mesh); err != nil {
		return false, fmt.Errorf("configmap %s/istio: %w", m.ns, err)
	}
	return len(mesh.DiscoverySelectors) > 0, nil
}

// differing names the namespaces whose root is not, byte for byte, the given.
func differing(seen objects, where []string, root string) []string {
	var out []string
	for _, ns := range where {
		o, ok := seen[objectKey{ns, rootConfigMap}]
		if !ok {
			out = append(out, ns+" has no "+rootConfigMap)
			continue
		}
		if got, _, err := unstructured.NestedString(o.Object, "data", rootCertKey); err != nil || got != root {
			out = append(out, ns+" has another root in "+rootConfigMap)
		}
	}
	return out
}

func planRootConfigMaps(ctx context.Context, m *member) ([]Change, error) {
	where, err := m.rootNamespaces(ctx)
	if err != nil {
		return nil, err
	}
	var items *unstructured.UnstructuredList
	err = retry(ctx, func() (err error) { items, err = m.in(configMaps, "").List(ctx, byName(rootConfigMap)); return err })
	if err != nil {
		return nil, err
	}
	seen := objects{}
	for i := range items.Items {
		seen[keyOf(&items.Items[i])] = &items.Items[i]
	}
	root := m.wantedRoots()
	var out []Change
	for _, ns := range where {
		if len(differing(seen, []string{ns}, root)) > 0 {
			out = append(out, Change{Op: "~", Object: ns + "/configmap " + rootConfigMap, Text: "the new root, written by istiod"})
		}
	}
	return out, nil
}

// applyRootConfigMaps waits until istiod has written the root everywhere.
func applyRootConfigMaps(ctx context.Context, m *member) error {
	return m.awaitRoot(ctx, m.wantedRoots())
}

// wantedRoots is what istiod writes once it has read cacerts as it is, or as it
// will be.
func (m *member) wantedRoots() string {
	switch {
	case m.ca.ok() || m.ca.moving(m.f.root):
		return string(m.ca.Bundle)
	case m.f.root == nil:
		return ""
	}
	return string(issuer.EncodeCertificates(m.f.root))
}

func (m *member) awaitRoot(ctx context.Context, root string) error {
	where, err := m.rootNamespaces(ctx)
	if err != nil {
		return err
	}
	return await(ctx, m.in(configMaps, ""), byName(rootConfigMap), m.f.opts.StepTimeout, func(seen objects) ([]string, error) {
		return differing(seen, where, root), nil
	})
}

func byName(name string) metav1.ListOptions {
	return metav1.ListOptions{FieldSelector: "metadata.name=" + name}
}
