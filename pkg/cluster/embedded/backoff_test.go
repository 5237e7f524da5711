// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"net/http"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// TestFailedStartIsTriedAgain lets the API refuse TokenReviews while a workload
// restarts, so that istiod certifies nobody, and then lets them pass again.
func TestFailedStartIsTriedAgain(t *testing.T) {
	top, err := cluster.Default(2)
	if err != nil {
		t.Fatal(err)
	}
	set, err := (&Provider{}).Open(t.Context(), top, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close(t.Context()) // other tests look at closing
	in, ok := set.Clusters[0].(*instance)
	if !ok {
		t.Fatalf("a %T", set.Clusters[0])
	}
	in.api.SetInterceptor(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "tokenreviews") {
				http.Error(w, "out of order", http.StatusInternalServerError)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	deployments := in.kube.AppsV1().Deployments("bookinfo")
	change := []byte(`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`)
	if _, err := deployments.Patch(t.Context(), "ratings-v1", types.MergePatchType, change, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	await := func(what string, done func(appsv1.DeploymentStatus) bool) {
		t.Helper()
		for begin := time.Now(); ; {
			d, err := deployments.Get(t.Context(), "ratings-v1", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if d.Generation == d.Status.ObservedGeneration && done(d.Status) {
				return
			}
			if time.Since(begin) > 20*time.Second {
				t.Fatalf("%s does not come: %+v", what, d.Status)
			}
		}
	}
	await("a pod that fails", func(s appsv1.DeploymentStatus) bool {
		return s.UnavailableReplicas == 1 && s.Replicas == 2 && s.Conditions[1].Message == "the new pod does not become ready"
	})
	if ws, err := in.Workloads(t.Context()); err != nil || len(ws) != 6 {
		t.Errorf("the old pod does not serve on: %d workloads, %v", len(ws), err)
	}
	in.api.SetInterceptor(nil)
	await("the end of the rollout", func(s appsv1.DeploymentStatus) bool { return s.Replicas == 1 && s.AvailableReplicas == 1 })
}
