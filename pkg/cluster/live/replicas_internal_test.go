// SPDX-License-Identifier: Apache-2.0

package live

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// TestReplicas: the pods of a Deployment that are ready, of each of its
// ReplicaSets, the one that is known already left out, the oldest first.
func TestReplicas(t *testing.T) {
	at := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	pod := func(name, hash, ip string, age time.Duration, change ...func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "shop", Name: name, Labels: map[string]string{hashLabel: hash}, CreationTimestamp: metav1.NewTime(at.Add(-age)),
				OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "ratings-" + hash, Controller: new(true)}},
			},
			Spec:   corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}, {Name: proxyContainer}}},
			Status: corev1.PodStatus{PodIP: ip, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
		}
		for _, c := range change {
			c(p)
		}
		return p
	}
	inv := &inventory{pods: []*corev1.Pod{
		pod("ratings-b-1", "b", "10.0.0.1", time.Minute),
		pod("ratings-b-2", "b", "10.0.0.2", 2*time.Minute),
		pod("ratings-a-1", "a", "10.0.0.3", time.Hour),
		pod("not-ready", "b", "10.0.0.4", time.Minute, func(p *corev1.Pod) { p.Status.Conditions = nil }),
		pod("ending", "a", "10.0.0.5", time.Hour, func(p *corev1.Pod) { p.DeletionTimestamp = &p.CreationTimestamp }),
		pod("without-sidecar", "b", "10.0.0.6", time.Minute, func(p *corev1.Pod) { p.Spec.Containers = p.Spec.Containers[:1] }),
		pod("elsewhere", "b", "10.0.0.7", time.Minute, func(p *corev1.Pod) { p.Namespace = "other" }),
		pod("of-others", "b", "10.0.0.8", time.Minute, func(p *corev1.Pod) { p.OwnerReferences[0].Name = "reviews-b" }),
		pod("without-address", "b", "", time.Minute),
	}}
	w := cluster.Workload{
		Ref: cluster.Ref{Cluster: "east", Namespace: "shop", Name: "ratings"}, DataPlane: cluster.Sidecar, Address: netip.MustParseAddr("10.0.0.1"),
	}
	var got []string
	for _, r := range inv.replicas(w) {
		got = append(got, r.Pod+" "+r.Address.String()+" "+r.String())
	}
	want := []string{"ratings-a-1 10.0.0.3 east/shop/ratings", "ratings-b-2 10.0.0.2 east/shop/ratings"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("replicas (-want +got):\n%s", diff)
	}
}
