// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded"
	"github.com/meshprobe/meshprobe/pkg/probe"
)

// dataPlanes is an embedded mesh of the documentation's example with every kind
// of workload, not federated.
func dataPlanes(t *testing.T) *cluster.Set {
	t.Helper()
	file, err := os.Open("../../docs/topologies/dataplanes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	topology, err := cluster.ParseTopology(file)
	if err != nil {
		t.Fatal(err)
	}
	set, err := (&embedded.Provider{ConnectTimeout: time.Second}).Open(t.Context(), topology, nil)
	if err != nil {
		t.Fatal(err)
	}
	closing(t, set)
	return set
}

// TestWaypoints holds the verdict on calls through waypoints to what a ztunnel
// would make of them; with istiod 1.31 and Envoy it is the same in every case.
func TestWaypoints(t *testing.T) {
	const (
		across = "east/shop-ambient/reviews → west/shop-waypoint/ratings"
		back   = "west/shop-ambient/reviews → east/shop-waypoint/ratings"
		beside = "east/shop-waypoint/reviews → east/shop-waypoint/ratings"
		east   = "east/shop-waypoint/waypoint"
		west   = "west/shop-waypoint/waypoint"
	)
	for name, tc := range map[string]struct {
		change func(t *testing.T, east, west cluster.Kube)
		want   map[string]string
	}{
		"shared": {
			func(*testing.T, cluster.Kube, cluster.Kube) {},
			map[string]string{
				"hbone/double " + across: "pass", "hbone/inner-identity " + across: "pass",
				"hbone/double " + back: "pass", "hbone/inner-identity " + back: "pass",
				"hbone/double " + beside: "pass", "hbone/outer-identity " + beside: "pass",
				"hbone/waypoint-identity " + east: "pass", "hbone/waypoint-traffic " + east: "pass",
				"discovery/gateway-endpoint " + across: "pass",
				"hbone/waypoint-identity " + west:      "pass", "hbone/waypoint-traffic " + west: "pass",
			},
		},
		"of the destination only": {
			// istiod lists no waypoint among the names of a service (istio issue 61609).
			func(t *testing.T, east, _ cluster.Kube) {
				label(t, east, "namespace", "shop-waypoint", "istio.io/use-waypoint", "null")
			},
			map[string]string{
				"hbone/double " + across: "pass", "hbone/inner-identity " + across: "fail inner-san-waypoint",
				"hbone/inner-identity " + back: "fail inner-san-wrong-workload", "hbone/double " + beside: "pass",
				"hbone/waypoint-identity " + east: "pass", "hbone/waypoint-traffic " + east: "skip",
			},
		},
		"not shared": {
			func(t *testing.T, _, west cluster.Kube) {
				label(t, west, "service", "waypoint", "istio.io/global", "null")
			},
			map[string]string{
				"hbone/double " + across: "skip", "hbone/outer-identity " + across: "skip", "hbone/inner-identity " + across: "skip",
				"discovery/gateway-endpoint " + across: "skip", "hbone/waypoint-traffic " + west: "pass",
			},
		},
		"for workloads only": {
			func(t *testing.T, _, west cluster.Kube) {
				label(t, west, "service", "waypoint", "istio.io/waypoint-for", `"workload"`)
			},
			map[string]string{
				"hbone/waypoint-traffic " + west: "skip", "hbone/double " + beside: "pass",
				"hbone/inner-identity " + across: "fail inner-san-wrong-workload", "hbone/inner-identity " + back: "fail inner-san-waypoint",
			},
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			set := dataPlanes(t)
			federation(t, set)
			e, _ := cluster.As[cluster.Kube](set.Clusters[0])
			w, _ := cluster.As[cluster.Kube](set.Clusters[1])
			tc.change(t, e, w)
			found := run(t, set, nil)
			said := summed(found)
			for key, want := range tc.want {
				if said[key] != want {
					t.Errorf("%s: %q, want %q\n%s", key, said[key], want, evidenceOf(found, key))
				}
			}
			for key, got := range said {
				if tc.want[key] == "" && strings.HasPrefix(got, "fail") {
					t.Errorf("%s: %s", key, got)
				}
			}
		})
	}
}

// label sets a label of a namespace, or of a service in shop-waypoint; null takes
// it away.
func label(t *testing.T, k cluster.Kube, kind, name, key, value string) {
	t.Helper()
	patch := []byte(`{"metadata":{"labels":{"` + key + `":` + value + `}}}`)
	var err error
	if kind == "namespace" {
		_, err = k.Kubernetes().CoreV1().Namespaces().Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{})
	} else {
		_, err = k.Kubernetes().CoreV1().Services("shop-waypoint").Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// evidenceOf is the evidence of a finding.
func evidenceOf(found []probe.Finding, key string) string {
	for _, f := range found {
		if f.ID+" "+f.Subject != key {
			continue
		}
		text := f.Reason
		for _, e := range f.Evidence {
			text += "\n  " + e.Label + ": want " + e.Want + ", got " + e.Got
		}
		return text
	}
	return "nothing"
}

// TestWaypointRestarts: a waypoint is restarted like every other gateway, and
// goes on calling what is behind it.
func TestWaypointRestarts(t *testing.T) {
	set := dataPlanes(t)
	federation(t, set)
	k, _ := cluster.As[cluster.Kube](set.Clusters[0])
	lister, ok := cluster.As[cluster.Waypoints](set.Clusters[0])
	if !ok {
		t.Fatal("the provider lists no waypoints")
	}
	at := func() cluster.Waypoint {
		found, err := lister.Waypoints(t.Context())
		if err != nil || len(found) != 1 {
			t.Fatalf("waypoints: %v, %v", found, err)
		}
		return found[0]
	}
	before := at()
	pods := k.Kubernetes().CoreV1().Pods(before.Namespace)
	list, err := pods.List(t.Context(), metav1.ListOptions{LabelSelector: "gateway.networking.k8s.io/gateway-name=waypoint"})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%d pods, %v", len(list.Items), err)
	}
	if err := pods.Delete(t.Context(), list.Items[0].Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for another := false; !another; {
		found, err := lister.Waypoints(ctx)
		if err != nil {
			t.Fatal(err)
		}
		another = len(found) == 1 && found[0].Address != before.Address
		watch(ctx, t, pods.List)
	}
	for key, got := range summed(run(t, set, nil)) {
		if strings.HasPrefix(got, "fail") || strings.HasPrefix(got, "broken") {
			t.Errorf("%s: %s", key, got)
		}
	}
}

// watch gives the controllers the time of a request.
func watch(ctx context.Context, t *testing.T, list func(context.Context, metav1.ListOptions) (*corev1.PodList, error)) {
	t.Helper()
	if _, err := list(ctx, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
}
