// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

const small = `version: meshprobe/v1
clusters:
  - name: east
    namespaces:
      - name: shop
        workloads:
          - {name: reviews, dataPlane: sidecar}
          - {name: ratings, dataPlane: ambient, service: {port: 9080}}
          - {name: pay, service: {port: 8080, protocol: tcp}}
  - name: west
    trustDomain: west.example
    namespaces:
      - name: shop
        mtls: PERMISSIVE
        workloads:
          - {name: reviews, dataPlane: ambient}
          - {name: ratings, dataPlane: sidecar, mtls: DISABLE, service: {}}
`

func TestParseTopologyDefaults(t *testing.T) {
	top, err := cluster.ParseTopology(strings.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	want := []cluster.Edge{
		{From: cluster.Ref{Cluster: "east", Namespace: "shop", Name: "reviews"}, To: cluster.Ref{Cluster: "west", Namespace: "shop", Name: "ratings"}, DataPlane: cluster.Sidecar},
		{From: cluster.Ref{Cluster: "west", Namespace: "shop", Name: "ratings"}, To: cluster.Ref{Cluster: "east", Namespace: "shop", Name: "pay"}, DataPlane: cluster.Sidecar},
		{From: cluster.Ref{Cluster: "west", Namespace: "shop", Name: "reviews"}, To: cluster.Ref{Cluster: "east", Namespace: "shop", Name: "ratings"}, DataPlane: cluster.Ambient},
	}
	if diff := cmp.Diff(want, top.Edges); diff != "" {
		t.Errorf("edges (-want +got):\n%s", diff)
	}
	west := top.Clusters[1]
	if west.Network != "west" || west.TrustDomain != "west.example" || top.Clusters[0].TrustDomain != "cluster.local" {
		t.Errorf("cluster defaults: %+v", west)
	}
	ratings := west.Namespaces[0].Workloads[1]
	wantRatings := cluster.WorkloadSpec{
		Name: "ratings", ServiceAccount: "ratings", DataPlane: cluster.Sidecar, MTLS: cluster.Disable,
		Service: &cluster.ServiceSpec{Name: "ratings", Port: 9080, Protocol: "http"},
	}
	if diff := cmp.Diff(wantRatings, ratings); diff != "" {
		t.Errorf("workload defaults (-want +got):\n%s", diff)
	}
}

func TestParseTopologyErrors(t *testing.T) {
	two := "version: meshprobe/v1\nclusters:\n  - name: east\n  - name: west\n"
	for name, tc := range map[string]struct{ in, want, hint string }{
		"unknown-field":      {strings.Replace(small, "trustDomain:", "trustDomian:", 1), `line 11: unknown field "trustDomian"`, `did you mean "trustDomain"?`},
		"unknown-top-field":  {two + "edgs: []\n", `line 5: unknown field "edgs"`, `did you mean "edges"?`},
		"empty":              {"", "the topology is empty", "start it with: version: meshprobe/v1"},
		"no-version":         {"clusters: []\n", `line 1: version is ""`, "write version: meshprobe/v1"},
		"one-cluster":        {"version: meshprobe/v1\nclusters: [{name: east}]\n", "line 2: 1 clusters; trust across clusters needs 2 to 100", "name 2 to 100 clusters"},
		"duplicate":          {"version: meshprobe/v1\nclusters:\n  - name: east\n  - name: east\n", `line 4: cluster name "east" is used twice (clusters 1 and 2)`, "give each cluster a name of its own"},
		"bad-mode":           {strings.Replace(small, "PERMISSIVE", "PERMISIVE", 1), `line 10: west/shop: mtls is "PERMISIVE", not one of [STRICT PERMISSIVE DISABLE]`, `did you mean "PERMISSIVE"?`},
		"no-such-service":    {small + "edges:\n  - {from: east/shop/reviews, to: west/shop/rating}\n", "line 19: there is no service west/shop/rating", `did you mean "west/shop/ratings"?`},
		"no-such-cluster":    {small + "edges:\n  - {from: eats/shop/reviews, to: west/shop/ratings}\n", `line 19: there is no cluster "eats"`, `did you mean "east"?`},
		"edge-not-a-ref":     {small + "edges:\n  - {from: reviews, to: west/shop/ratings}\n", `line 19: "reviews" is not cluster/namespace/name`, "write it as east/shop/reviews"},
		"wrong-data-plane":   {small + "edges:\n  - {from: east/shop/reviews, to: west/shop/ratings, dataPlane: ambient}\n", "line 19: dataPlane is ambient, but west/shop/ratings is sidecar", "leave dataPlane out: it follows the service"},
		"bad-duration":       {two + "mesh: {root: {ttl: soon}}\n", `"soon" is not a duration such as 8760h`, ""},
		"two-documents":      {two + "---\nversion: meshprobe/v1\n", "the file holds more than one document", "keep one topology per file"},
		"not-yaml":           {"version: [", "did not find expected node content", ""},
		"bad-cluster-name":   {"version: meshprobe/v1\nclusters:\n  - name: East\n  - name: west\n", `line 3: cluster name "East": `, "use lower case letters, digits and -"},
		"duplicate-workload": {strings.Replace(small, "{name: pay,", "{name: ratings,", 1), `east/shop: workload "ratings" is there twice`, "give each workload a name of its own"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := cluster.ParseTopology(strings.NewReader(tc.in))
			te, ok := errors.AsType[*cluster.TopologyError](err)
			if !ok {
				t.Fatalf("want a *TopologyError, got %v", err)
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error\n got %q\nwant %q", err.Error(), tc.want)
			}
			if te.Hint != tc.hint {
				t.Errorf("hint\n got %q\nwant %q", te.Hint, tc.hint)
			}
		})
	}
}

func TestDefault(t *testing.T) {
	for _, n := range []int{0, 1, 101, 1000, -1} {
		if _, err := cluster.Default(n); err == nil {
			t.Errorf("Default(%d): no error", n)
		}
	}
	for _, n := range []int{2, 3, 24, 100} {
		top, err := cluster.Default(n)
		if err != nil {
			t.Fatal(err)
		}
		if want := 2 * n * (n - 1); len(top.Edges) != want {
			t.Errorf("Default(%d): %d edges, want %d", n, len(top.Edges), want)
		}
		versions := map[string]bool{}
		for _, c := range top.Clusters {
			for _, w := range c.Namespaces[0].Workloads {
				versions[w.Name] = true
			}
		}
		for _, v := range []string{"productpage-v1", "reviews-v1", "reviews-v2", "reviews-v3", "ratings-v1"} {
			if !versions[v] {
				t.Errorf("Default(%d): no %s", n, v)
			}
		}
	}
}

func FuzzParseTopology(f *testing.F) {
	f.Add(small)
	f.Add("version: meshprobe/v1\nclusters: &a [*a]\n")
	f.Fuzz(func(t *testing.T, in string) {
		top, err := cluster.ParseTopology(strings.NewReader(in))
		if err == nil && (len(top.Clusters) < 2 || top.Version != cluster.TopologyVersion) {
			t.Errorf("accepted %q as %+v", in, top)
		}
	})
}
