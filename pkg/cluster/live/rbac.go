// SPDX-License-Identifier: Apache-2.0

package live

import (
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/meshprobe/meshprobe/pkg/agent/agentpod"
)

// Where a check that runs in a pod finds itself, and what its role is called.
const (
	CheckNamespace = "meshprobe"
	CheckAccount   = "meshprobe-check"
)

// Rules are the least that a check needs to be allowed in a cluster: those of a
// ClusterRole, and those of a Role in the root namespace.
func Rules() (clusterWide, root []rbacv1.PolicyRule) {
	read := []string{"get", "list"}
	clusterWide = []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"namespaces", "configmaps"}, Verbs: read},
		{APIGroups: []string{""}, Resources: []string{"pods", "services"}, Verbs: []string{"list"}},
		{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: []string{"list"}},
		{APIGroups: []string{"security.istio.io"}, Resources: []string{"peerauthentications"}, Verbs: []string{"list"}},
		{APIGroups: []string{"networking.istio.io"}, Resources: []string{"serviceentries"}, Verbs: []string{"list"}},
		{APIGroups: []string{"gateway.networking.k8s.io"}, Resources: []string{"gateways"}, Verbs: []string{"list"}},
		// A certificate is asked for in the name of a workload's service account.
		{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}},
		// Websockets ask for get, SPDY for create.
		{APIGroups: []string{""}, Resources: []string{"pods/portforward"}, Verbs: []string{"get", "create"}},
	}
	root = []rbacv1.PolicyRule{
		// cacerts and istio-ca-secret are read to compare their certificates, the
		// others for the kubeconfigs of remote clusters; labels cannot restrict that.
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: read},
	}
	return clusterWide, root
}

// RBAC is the manifests with which a check in a pod, or a person who is bound to
// the same roles, is allowed what it needs and nothing else; with agent also what
// putting an agent into the namespace that it then keeps takes. The roots are the
// namespaces of istiod: istio-system where none is given.
func RBAC(agent bool, roots ...string) (string, error) {
	wide, root := Rules()
	labels := map[string]string{"app.kubernetes.io/name": "meshprobe", "app.kubernetes.io/component": "check"}
	named := func(namespace, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: labels}
	}
	subject := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: CheckNamespace, Name: CheckAccount}}
	core, rbac := corev1.SchemeGroupVersion.String(), rbacv1.SchemeGroupVersion.String()
	objects := []any{
		&corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: core, Kind: "Namespace"}, ObjectMeta: named("", CheckNamespace)},
		&corev1.ServiceAccount{TypeMeta: metav1.TypeMeta{APIVersion: core, Kind: "ServiceAccount"}, ObjectMeta: named(CheckNamespace, CheckAccount)},
		&rbacv1.ClusterRole{TypeMeta: metav1.TypeMeta{APIVersion: rbac, Kind: "ClusterRole"}, ObjectMeta: named("", CheckAccount), Rules: wide},
		&rbacv1.ClusterRoleBinding{
			TypeMeta: metav1.TypeMeta{APIVersion: rbac, Kind: "ClusterRoleBinding"}, ObjectMeta: named("", CheckAccount), Subjects: subject,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: CheckAccount},
		},
	}
	if len(roots) == 0 {
		roots = []string{defaultRootNamespace}
	}
	for _, ns := range roots {
		objects = append(objects,
			&rbacv1.Role{TypeMeta: metav1.TypeMeta{APIVersion: rbac, Kind: "Role"}, ObjectMeta: named(ns, CheckAccount), Rules: root},
			&rbacv1.RoleBinding{
				TypeMeta: metav1.TypeMeta{APIVersion: rbac, Kind: "RoleBinding"}, ObjectMeta: named(ns, CheckAccount), Subjects: subject,
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: CheckAccount},
			})
	}
	if agent {
		ground := agentpod.Ground()
		ground.TypeMeta = metav1.TypeMeta{APIVersion: core, Kind: "Namespace"}
		maps.Copy(ground.Labels, labels)
		objects = append(objects, ground,
			&rbacv1.Role{TypeMeta: metav1.TypeMeta{APIVersion: rbac, Kind: "Role"}, ObjectMeta: named(agentpod.Namespace, CheckAccount), Rules: agentpod.Rules()},
			&rbacv1.RoleBinding{
				TypeMeta: metav1.TypeMeta{APIVersion: rbac, Kind: "RoleBinding"}, ObjectMeta: named(agentpod.Namespace, CheckAccount), Subjects: subject,
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: CheckAccount},
			})
	}
	var out strings.Builder
	for _, o := range objects {
		text, err := yaml.Marshal(o)
		if err != nil {
			return "", fmt.Errorf("live: manifests: %w", err)
		}
		fmt.Fprintf(&out, "---\n%s", text)
	}
	return out.String(), nil
}
