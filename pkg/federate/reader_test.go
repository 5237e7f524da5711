// SPDX-License-Identifier: Apache-2.0

package federate_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshprobe/meshprobe/pkg/federate"
)

// Without the account that reads for other clusters, Apply makes it with its
// rights, labelled, and Rollback removes all of it.
func TestApplyMakesAMissingReader(t *testing.T) {
	t.Parallel()
	set, o := mesh(t), options(t)
	const account, role = "istio-reader-service-account", "istio-reader-clusterrole-istio-system"
	k := kubeOf(t, set, "east").Kubernetes()
	if err := k.CoreV1().ServiceAccounts("istio-system").Delete(t.Context(), account, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	before := durable(t, snapshot(t, set))
	p, err := federate.NewPlan(t.Context(), set, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"+ east istio-system/serviceaccount " + account, "+ east clusterrole " + role, "+ east clusterrolebinding " + role} {
		if !strings.Contains(p.String(), want) {
			t.Errorf("the plan does not say %q:\n%s", want, p)
		}
	}
	for i := 2; i < 60; i += 7 { // killed again and again
		killedAfter(t, set, i, applyOn(t, o))
	}
	apply(t, set, o, nil)
	sa, err := k.CoreV1().ServiceAccounts("istio-system").Get(t.Context(), account, metav1.GetOptions{})
	if err != nil || sa.Labels["app.kubernetes.io/managed-by"] != "meshprobe" {
		t.Errorf("%v: labels %v", err, sa.Labels)
	}
	rights, err := k.RbacV1().ClusterRoles().Get(t.Context(), role, metav1.GetOptions{})
	if err != nil || len(rights.Rules) != 11 || rights.Labels["meshprobe.io/mesh"] != "mesh" {
		t.Errorf("%v: %d rules, labels %v", err, len(rights.Rules), rights.Labels)
	}
	bound, err := k.RbacV1().ClusterRoleBindings().Get(t.Context(), role, metav1.GetOptions{})
	if err != nil || len(bound.Subjects) != 1 || bound.Subjects[0].Name != account || bound.RoleRef.Name != role {
		t.Errorf("%v: %v to %v", err, bound.RoleRef, bound.Subjects)
	}
	if p, err := federate.NewPlan(t.Context(), set, o); err != nil || !p.Empty() {
		t.Errorf("left to do: %v\n%s", err, p)
	}

	if err := federate.Rollback(t.Context(), set, o, nil); err != nil {
		t.Fatal(err)
	}
	_, saErr := k.CoreV1().ServiceAccounts("istio-system").Get(t.Context(), account, metav1.GetOptions{})
	_, roleErr := k.RbacV1().ClusterRoles().Get(t.Context(), role, metav1.GetOptions{})
	_, bindErr := k.RbacV1().ClusterRoleBindings().Get(t.Context(), role, metav1.GetOptions{})
	for _, err := range []error{saErr, roleErr, bindErr} {
		if !apierrors.IsNotFound(err) {
			t.Errorf("after rollback: %v", err)
		}
	}
	if diff := cmp.Diff(before, durable(t, snapshot(t, set))); diff != "" {
		t.Errorf("not as before (-before +after):\n%s", diff)
	}
}
