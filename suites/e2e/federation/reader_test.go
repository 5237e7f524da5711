// SPDX-License-Identifier: Apache-2.0

package federation_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// What reads a cluster for the control planes of others, as Istio installs it.
const (
	readerNamespace = "istio-system"
	readerAccount   = "istio-reader-service-account"
	readerRole      = "istio-reader-clusterrole-istio-system"
)

// bereave takes the reader and its rights from a cluster until the test ends, and
// returns what the rights were.
func bereave(t *testing.T, c cluster.Cluster) []rbacv1.PolicyRule {
	t.Helper()
	kube, ok := cluster.As[cluster.Kube](c)
	if !ok {
		t.Fatal("no Kube")
	}
	k := kube.Kubernetes()
	accounts, roles, bindings := k.CoreV1().ServiceAccounts(readerNamespace), k.RbacV1().ClusterRoles(), k.RbacV1().ClusterRoleBindings()
	account, accountErr := accounts.Get(t.Context(), readerAccount, metav1.GetOptions{})
	role, roleErr := roles.Get(t.Context(), readerRole, metav1.GetOptions{})
	binding, bindingErr := bindings.Get(t.Context(), readerRole, metav1.GetOptions{})
	if accountErr != nil || roleErr != nil || bindingErr != nil {
		t.Fatalf("Istio's reader: %v, %v, %v", accountErr, roleErr, bindingErr)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		for _, o := range []*metav1.ObjectMeta{&account.ObjectMeta, &role.ObjectMeta, &binding.ObjectMeta} {
			o.ResourceVersion, o.UID = "", ""
		}
		_, accountErr := accounts.Create(ctx, account, metav1.CreateOptions{})
		_, roleErr := roles.Create(ctx, role, metav1.CreateOptions{})
		_, bindingErr := bindings.Create(ctx, binding, metav1.CreateOptions{})
		if accountErr != nil || roleErr != nil || bindingErr != nil {
			t.Errorf("put Istio's reader back: %v, %v, %v", accountErr, roleErr, bindingErr)
		}
	})
	for _, err := range []error{
		accounts.Delete(t.Context(), readerAccount, metav1.DeleteOptions{}),
		bindings.Delete(t.Context(), readerRole, metav1.DeleteOptions{}),
		roles.Delete(t.Context(), readerRole, metav1.DeleteOptions{}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return role.Rules
}

// readerMade holds what apply made in its place to what Istio had installed.
func readerMade(t *testing.T, c cluster.Cluster, want []rbacv1.PolicyRule) {
	t.Helper()
	kube, _ := cluster.As[cluster.Kube](c)
	role, err := kube.Kubernetes().RbacV1().ClusterRoles().Get(t.Context(), readerRole, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(allowed(want), allowed(role.Rules)); diff != "" {
		t.Errorf("rights of the reader (-istio +meshprobe):\n%s", diff)
	}
}

// allowed are rights one by one: GROUP/RESOURCE VERB.
func allowed(rules []rbacv1.PolicyRule) map[string]bool {
	out := map[string]bool{}
	for _, r := range rules {
		for _, group := range r.APIGroups {
			for _, resource := range r.Resources {
				for _, verb := range r.Verbs {
					out[group+"/"+resource+" "+verb] = true
				}
			}
		}
	}
	return out
}
