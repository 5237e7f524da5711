// SPDX-License-Identifier: Apache-2.0

package embedded_test

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded"
)

const mixed = `version: meshprobe/v1
clusters:
  - name: east
    namespaces:
      - name: shop
        mtls: PERMISSIVE
        workloads:
          - {name: cart}
          - {name: pay, dataPlane: ambient, service: {port: 8080, protocol: tcp}}
          - {name: legacy, dataPlane: none, service: {protocol: tcp}}
          - {name: stock-v1, mtls: DISABLE, service: {name: stock, protocol: tcp}}
          - {name: stock, mtls: STRICT}
  - name: west
    trustDomain: west.example
    namespaces:
      - {name: shop, workloads: [{name: pay, dataPlane: ambient, serviceAccount: till, service: {port: 8080, protocol: tcp}}]}
`

// TestMixedNamespace has every data plane and mode side by side.
func TestMixedNamespace(t *testing.T) {
	top, err := cluster.ParseTopology(strings.NewReader(mixed))
	if err != nil {
		t.Fatal(err)
	}
	set := openTopology(t, top)
	east := set.Clusters[0]
	type running struct {
		Name string
		DP   cluster.DataPlane
		Mode cluster.MTLSMode
	}
	var got []running
	ws, err := east.Workloads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range ws {
		got = append(got, running{w.Name, w.DataPlane, w.MTLS})
	}
	want := []running{
		{"cart", cluster.Sidecar, cluster.Permissive},
		{"pay", cluster.Ambient, cluster.Permissive},
		{"legacy", cluster.NoMesh, cluster.Permissive},
		{"stock-v1", cluster.Sidecar, cluster.Disable},
		{"stock", cluster.Sidecar, cluster.Strict},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("workloads (-want +got):\n%s", diff)
	}
	for _, addr := range []string{"pay.shop:8080", "legacy.shop:9080", "stock.shop:9080"} {
		conn, err := east.Dial(t.Context(), cluster.Workload{}, addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "ping"); err != nil {
			t.Error(err)
		}
		echo := make([]byte, 4)
		if _, err := io.ReadFull(conn, echo); err != nil || string(echo) != "ping" {
			t.Errorf("%s in plaintext: %q, %v", addr, echo, err)
		}
		_ = conn.Close()
	}
	// The client called stock is not behind the service called stock.
	r, _ := cluster.As[cluster.Resolver](east)
	found, err := r.Resolve(t.Context(), cluster.Workload{}, "stock.shop", 9080)
	if err != nil || len(found) != 1 || found[0].SNI != "" {
		t.Errorf("stock resolves to %+v, %v", found, err)
	}
	id := identity(t, set, cluster.Ref{Cluster: "west", Namespace: "shop", Name: "till"})
	if id.ID != "spiffe://west.example/ns/shop/sa/till" {
		t.Errorf("identity %s", id)
	}
	secret, err := kube(t, set.Clusters[1]).CoreV1().Secrets("istio-system").Get(t.Context(), "istio-ca-secret", metav1.GetOptions{})
	if err != nil || len(secret.Data["ca-key.pem"]) == 0 {
		t.Errorf("istio-ca-secret: %v", err)
	}
	if got := rootOf(t, set.Clusters[1], "shop").Subject.String(); got != "O=west.example" {
		t.Errorf("the self-signed root is %s", got)
	}
}

// TestOpenFails leaves nothing behind; TestMain looks for it.
func TestOpenFails(t *testing.T) {
	spec := func(name, namespace string) cluster.ClusterSpec {
		return cluster.ClusterSpec{Name: name, Network: name, TrustDomain: "cluster.local", Namespaces: []cluster.NamespaceSpec{{Name: namespace, MTLS: cluster.Strict}}}
	}
	for name, tc := range map[string]struct {
		clusters []cluster.ClusterSpec
		want     string
	}{
		"impossible-namespace": {[]cluster.ClusterSpec{spec("east", "shop"), spec("west", "Not a name")}, "bring up west"},
		"too-many":             {make([]cluster.ClusterSpec, 101), "at most 100"},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := (&embedded.Provider{}).Open(t.Context(), cluster.Topology{Version: cluster.TopologyVersion, Clusters: tc.clusters}, nil)
			if err == nil {
				_ = set.Close(t.Context())
				t.Fatal("it opens")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want %q in %v", tc.want, err)
			}
		})
	}
}
