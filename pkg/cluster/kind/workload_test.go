// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// TestDataPlanes looks at the objects of the example topology, with and without
// a ztunnel.
func TestDataPlanes(t *testing.T) {
	file, err := os.Open("../../../docs/topologies/dataplanes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	top, err := cluster.ParseTopology(file)
	if err != nil {
		t.Fatal(err)
	}
	for ztunnel, want := range map[bool]map[string]string{
		false: {
			"Namespace shop":                   "istio-injection=enabled",
			"Namespace shop-ambient":           "",
			"Namespace shop-waypoint":          "istio.io/use-waypoint=waypoint",
			"Deployment shop/reviews":          "proxy HBONE false",
			"Deployment shop/details":          "networking.istio.io/tunnel=http proxy HBONE true",
			"Deployment shop-ambient/ratings":  "networking.istio.io/tunnel=http",
			"Deployment shop-waypoint/ratings": "networking.istio.io/tunnel=http",
			"Gateway shop-waypoint/waypoint":   "istio-waypoint",
		},
		true: {
			"Namespace shop":                   "istio-injection=enabled",
			"Namespace shop-ambient":           "istio.io/dataplane-mode=ambient",
			"Namespace shop-waypoint":          "istio.io/dataplane-mode=ambient istio.io/use-waypoint=waypoint",
			"Deployment shop/reviews":          "proxy HBONE false",
			"Deployment shop/details":          "networking.istio.io/tunnel=http proxy HBONE true",
			"Deployment shop-ambient/ratings":  "",
			"Deployment shop-waypoint/ratings": "",
			"Gateway shop-waypoint/waypoint":   "istio-waypoint",
		},
	} {
		all := map[string]string{}
		for _, o := range workloads(top.Clusters[0], "image", ztunnel) {
			all[strings.Join(strings.Fields(o.GetKind()+" "+strings.TrimPrefix(o.GetNamespace()+"/"+o.GetName(), "/")), " ")] = told(o)
		}
		got := map[string]string{}
		for name := range want {
			text, there := all[name]
			if !there {
				text = "missing"
			}
			got[name] = text
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ztunnel %v (-want +got):\n%s", ztunnel, diff)
		}
	}
}

// told is what an object says of data planes.
func told(o *unstructured.Unstructured) string {
	labels := o.GetLabels()
	var out []string
	switch o.GetKind() {
	case "Gateway":
		class, _, _ := unstructured.NestedString(o.Object, "spec", "gatewayClassName")
		return class
	case "Deployment":
		labels = map[string]string{}
		pod, _, _ := unstructured.NestedMap(o.Object, "spec", "template", "metadata", "labels")
		for k, v := range pod {
			labels[k], _ = v.(string)
		}
		config, _, _ := unstructured.NestedMap(o.Object, "spec", "template", "metadata", "annotations")
		if text, _ := config["proxy.istio.io/config"].(string); text != "" {
			_, value, _ := strings.Cut(text, `ISTIO_META_ENABLE_HBONE: "`)
			out = append(out, "proxy HBONE "+strings.TrimSuffix(strings.TrimSpace(value), `"`))
		}
	}
	for _, key := range []string{useWaypoint, tunnelLabel, modeLabel, injectionLabel} {
		if labels[key] != "" {
			out = append([]string{key + "=" + labels[key]}, out...)
		}
	}
	return strings.Join(out, " ")
}
