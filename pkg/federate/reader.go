// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// wanted is an object that is not there.
type wanted struct {
	kind   kind
	object *unstructured.Unstructured
}

func (w wanted) String() string {
	if ns := w.object.GetNamespace(); ns != "" {
		return fmt.Sprintf("%s/%s %s", ns, w.kind, w.object.GetName())
	}
	return fmt.Sprintf("%s %s", w.kind, w.object.GetName())
}

// readerRole is the name of what the reader may, as Istio's chart has it.
func (m *member) readerRole() string { return "istio-reader-clusterrole-" + m.ns }

// missingReader is what is not there of the account that other clusters' control
// planes are given, with its rights: what istioctl create-remote-secret makes
// too, and like it only where somebody has not made the account.
func (m *member) missingReader(ctx context.Context) ([]wanted, error) {
	var out []wanted
	sa, err := m.get(ctx, serviceAccounts, m.ns, readerAccount)
	if err != nil {
		return nil, err
	}
	if sa == nil {
		out = append(out, wanted{serviceAccounts, m.made("v1", "ServiceAccount", readerAccount, m.f.labels("app", "istio-reader"), nil)})
	}
	if sa != nil && note(sa, annotationPrevious) != previousAbsent {
		return nil, nil
	}
	bound, err := m.readerBound(ctx)
	if err != nil || bound {
		return out, err
	}
	role, err := m.get(ctx, clusterRoles, "", m.readerRole())
	if err != nil {
		return nil, err
	}
	if role == nil {
		out = append(out, wanted{clusterRoles, m.rbacObject("ClusterRole", "rules", readerRules())})
	}
	binding := m.rbacObject("ClusterRoleBinding", "subjects", []any{map[string]any{"kind": "ServiceAccount", "name": readerAccount, "namespace": m.ns}})
	binding.Object["roleRef"] = map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": m.readerRole()}
	return append(out, wanted{clusterRoleBindings, binding}), nil
}

func (m *member) rbacObject(kind, field string, value []any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
		"metadata": map[string]any{"name": m.readerRole(), "labels": m.f.labels("app", "istio-reader")},
		field:      value,
	}}
}

// readerBound reports whether anything is bound to the reader. Where that may not
// be known, or is not served, nothing is said to be missing.
func (m *member) readerBound(ctx context.Context) (bool, error) {
	var l *unstructured.UnstructuredList
	err := retry(ctx, func() (err error) { l, err = m.in(clusterRoleBindings, "").List(ctx, metav1.ListOptions{}); return err })
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	for _, b := range l.Items {
		subjects, _, _ := unstructured.NestedSlice(b.Object, "subjects") // none
		for _, s := range subjects {
			s, ok := s.(map[string]any)
			if ok && s["kind"] == "ServiceAccount" && s["name"] == readerAccount && s["namespace"] == m.ns {
				return true, nil
			}
		}
	}
	return false, nil
}

// readerRules are what a control plane reads in another cluster
// (istio manifests/charts/istio-control/istio-discovery/templates/reader-clusterrole.yaml).
func readerRules() []any {
	rule := func(groups, resources, verbs []any) any {
		return map[string]any{"apiGroups": groups, "resources": resources, "verbs": verbs}
	}
	read := []any{"get", "list", "watch"}
	return []any{
		rule([]any{"config.istio.io", "security.istio.io", "networking.istio.io", "authentication.istio.io", "rbac.istio.io", "telemetry.istio.io", "extensions.istio.io"}, []any{"*"}, read),
		rule([]any{""}, []any{"endpoints", "pods", "services", "nodes", "replicationcontrollers", "namespaces", "secrets", "configmaps"}, read),
		rule([]any{"networking.istio.io"}, []any{"workloadentries"}, read),
		rule([]any{"networking.x-k8s.io", "gateway.networking.k8s.io"}, []any{"gateways"}, read),
		rule([]any{"apiextensions.k8s.io"}, []any{"customresourcedefinitions"}, read),
		rule([]any{"discovery.k8s.io"}, []any{"endpointslices"}, read),
		rule([]any{"multicluster.x-k8s.io"}, []any{"serviceexports"}, append([]any{"create", "delete"}, read...)),
		rule([]any{"multicluster.x-k8s.io"}, []any{"serviceimports"}, read),
		rule([]any{"apps"}, []any{"replicasets"}, read),
		rule([]any{"authentication.k8s.io"}, []any{"tokenreviews"}, []any{"create"}),
		rule([]any{"authorization.k8s.io"}, []any{"subjectaccessreviews"}, []any{"create"}),
	}
}

// makeReader makes what is missing of the reader.
func (m *member) makeReader(ctx context.Context) error {
	missing, err := m.missingReader(ctx)
	if err != nil {
		return err
	}
	for _, w := range missing {
		err := retry(ctx, func() error {
			// Whoever was interrupted may have made it, or its answer was lost.
			have, err := m.read(ctx, w.kind, w.object.GetNamespace(), w.object.GetName())
			if err != nil || have != nil && note(have, annotationPrevious) == previousAbsent {
				return err
			}
			if have != nil {
				return fmt.Errorf("it is there and belongs to somebody else, who gives %s no rights by it", readerAccount)
			}
			return m.createNew(ctx, w.kind, w.object, previousAbsent)
		})
		if err != nil {
			return fmt.Errorf("make %s: %w", w, err)
		}
	}
	return nil
}

// undoReader removes what was made of the reader.
func undoReader(ctx context.Context, m *member) error {
	var errs []error
	for _, at := range []struct {
		kind            kind
		namespace, name string
	}{{clusterRoleBindings, "", m.readerRole()}, {clusterRoles, "", m.readerRole()}, {serviceAccounts, m.ns, readerAccount}} {
		have, err := m.get(ctx, at.kind, at.namespace, at.name)
		if err == nil && note(have, annotationPrevious) == previousAbsent {
			err = m.remove(ctx, at.kind, at.namespace, at.name)
		}
		if apierrors.IsForbidden(err) && have == nil {
			err = nil // what may not be seen was not made
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
