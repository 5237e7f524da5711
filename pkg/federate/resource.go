// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"encoding/base64"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// kind is a kind of object that a federation touches, named for people and for
// the names of backups. Everything goes through the dynamic client, so that
// fields of API versions that this build does not know survive an update.
type kind string

const (
	secrets         kind = "secret"
	configMaps      kind = "configmap"
	namespaces      kind = "namespace"
	services        kind = "service"
	serviceAccounts kind = "serviceaccount"
	deployments     kind = "deployment"
	daemonSets      kind = "daemonset"
	statefulSets    kind = "statefulset"
	istioGateways   kind = "gateway"      // networking.istio.io
	serviceEntries  kind = "serviceentry" // networking.istio.io
	gatewayAPI      kind = "k8s-gateway"  // gateway.networking.k8s.io
	gatewayClasses  kind = "gatewayclass"

	clusterRoles        kind = "clusterrole"
	clusterRoleBindings kind = "clusterrolebinding"
)

func (k kind) gvr() schema.GroupVersionResource {
	gvr := schema.GroupVersionResource{Version: "v1", Resource: string(k) + "s"}
	switch k {
	case deployments, daemonSets, statefulSets:
		gvr.Group = "apps"
	case istioGateways:
		gvr.Group = "networking.istio.io"
	case serviceEntries:
		gvr.Group, gvr.Resource = "networking.istio.io", "serviceentries"
	case gatewayAPI:
		gvr.Group, gvr.Resource = "gateway.networking.k8s.io", "gateways"
	case gatewayClasses:
		gvr.Group, gvr.Resource = "gateway.networking.k8s.io", "gatewayclasses"
	case clusterRoles, clusterRoleBindings:
		gvr.Group = "rbac.authorization.k8s.io"
	case secrets, configMaps, namespaces, services, serviceAccounts:
	}
	return gvr
}

// in is the client of a kind in a namespace; "" is all of them, or none.
func (m *member) in(k kind, namespace string) dynamic.ResourceInterface {
	res := dynamic.ResourceInterface(m.dyn.Resource(k.gvr()))
	if namespace != "" {
		res = m.dyn.Resource(k.gvr()).Namespace(namespace)
	}
	return bounded{res, m.f.opts.RequestTimeout}
}

// get returns nil where there is no such object.
func (m *member) get(ctx context.Context, k kind, namespace, name string) (*unstructured.Unstructured, error) {
	var o *unstructured.Unstructured
	err := retry(ctx, func() (err error) { o, err = m.read(ctx, k, namespace, name); return err })
	return o, err
}

// read is get without retries, for what is retried as a whole.
func (m *member) read(ctx context.Context, k kind, namespace, name string) (*unstructured.Unstructured, error) {
	o, err := m.in(k, namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return o, err
}

// list returns nothing where the kind is not served.
func (m *member) list(ctx context.Context, k kind, namespace, selector string) ([]unstructured.Unstructured, error) {
	var items []unstructured.Unstructured
	err := retry(ctx, func() error {
		l, err := m.in(k, namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err == nil {
			items = l.Items
		}
		return err
	})
	return items, err
}

// newSecret is a Secret in the control plane's namespace as the keeper wants
// it, with more labels.
func (m *member) newSecret(name, secretType string, data map[string][]byte, more ...string) *unstructured.Unstructured {
	s := newSecret(m.ns, name, secretType, data)
	metadata, _ := s.Object["metadata"].(map[string]any) // made below
	metadata["labels"] = m.f.labels(more...)
	return s
}

func newSecret(namespace, name, secretType string, data map[string][]byte) *unstructured.Unstructured {
	encoded := make(map[string]any, len(data))
	for k, v := range data {
		encoded[k] = base64.StdEncoding.EncodeToString(v)
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": secretType, "data": encoded,
		"metadata": map[string]any{"namespace": namespace, "name": name},
	}}
}

// secretData decodes the data of a Secret. What is not base64 is left out: the
// API server does not store it.
func secretData(o *unstructured.Unstructured) map[string][]byte {
	if o == nil {
		return nil
	}
	encoded, _, err := unstructured.NestedStringMap(o.Object, "data")
	if err != nil {
		return nil
	}
	data := make(map[string][]byte, len(encoded))
	for k, v := range encoded {
		if b, err := base64.StdEncoding.DecodeString(v); err == nil {
			data[k] = b
		}
	}
	return data
}
