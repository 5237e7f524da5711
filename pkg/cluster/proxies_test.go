// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// parse is a topology of two clusters with one namespace shop each.
func parse(shop string) (cluster.Topology, error) {
	return cluster.ParseTopology(strings.NewReader("version: meshprobe/v1\nclusters:\n  - name: east\n    namespaces:\n      - " + shop + "\n  - name: west\n"))
}

func TestProxies(t *testing.T) {
	top, err := parse("{name: shop, waypoint: front, workloads: [{name: a, hbone: true, service: {}}, {name: b, service: {waypoint: own}}, {name: c, service: {waypoint: front}}]}")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"front", "own"}, top.Clusters[0].Namespaces[0].Waypoints()); diff != "" {
		t.Errorf("waypoints (-want +got):\n%s", diff)
	}
}

func TestProxiesRefused(t *testing.T) {
	for shop, want := range map[string]string{
		"{name: shop, workloads: [{name: a, dataPlane: ambient, hbone: true}]}": "ambient takes HBONE always",
		"{name: shop, workloads: [{name: a, dataPlane: none, hbone: true}]}":    "dataPlane: sidecar",
		"{name: shop, waypoint: Front, workloads: []}":                          "waypoint: waypoint",
		"{name: shop, waypoint: a, workloads: [{name: a}]}":                     "waypoint: waypoint",
		"{name: shop, waypoint: b, workloads: [{name: a, serviceAccount: b}]}":  "waypoint: waypoint",
		"{name: shop, workloads: [{name: a, service: {name: b, waypoint: b}}]}": "waypoint: waypoint",
		"{name: shop, workloads: [{name: a, service: {waypoint: 9}}]}":          "waypoint: waypoint",
	} {
		_, err := parse(shop)
		te, ok := errors.AsType[*cluster.TopologyError](err)
		if !ok || te.Line != 3 || !strings.Contains(te.Hint, want) {
			t.Errorf("%s: %v, %+v", shop, err, te)
		}
	}
}

// TestExampleTopology reads the example of the documentation.
func TestExampleTopology(t *testing.T) {
	file, err := os.Open("../../docs/topologies/dataplanes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	top, err := cluster.ParseTopology(file)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, c := range top.Clusters {
		for _, ns := range c.Namespaces {
			kinds["waypoint"] += len(ns.Waypoints())
			for _, w := range ns.Workloads {
				kinds[string(w.DataPlane)]++
				if w.HBONE {
					kinds["hbone"]++
				}
			}
		}
	}
	if kinds["waypoint"] != 2 || kinds["hbone"] != 2 || kinds["sidecar"] == 0 || kinds["ambient"] == 0 {
		t.Errorf("the example has %v", kinds)
	}
}
