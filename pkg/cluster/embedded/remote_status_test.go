// SPDX-License-Identifier: Apache-2.0

package embedded_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// TestRemoteClusters shows what an istiod says of a remote secret that works, of
// one whose API it cannot read, and of one that makes no client.
func TestRemoteClusters(t *testing.T) {
	set := open(t, 2)
	east, west := set.Clusters[0], set.Clusters[1]
	if got := states(t, east); !cmp.Equal(got, map[string]string{"east": "synced"}) {
		t.Errorf("before any remote secret: %v", got)
	}
	server := serverOf(t, west)
	kubeconfig := func(token string) []byte {
		raw, err := json.Marshal(map[string]any{
			"apiVersion": "v1", "kind": "Config", "current-context": "w",
			"clusters": []any{map[string]any{"name": "w", "cluster": map[string]any{"server": server.URL, "certificate-authority-data": server.CA}}},
			"contexts": []any{map[string]any{"name": "w", "context": map[string]any{"cluster": "w", "user": "w"}}},
			"users":    []any{map[string]any{"name": "w", "user": map[string]any{"token": token}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for name, tc := range map[string]struct {
		kubeconfig []byte
		want       map[string]string
	}{
		"refused":       {kubeconfig("not-a-token"), map[string]string{"east": "synced", "west": "timeout"}},
		"no kubeconfig": {[]byte("nothing"), map[string]string{"east": "synced"}},
	} {
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "remote", Namespace: "istio-system", Labels: map[string]string{"istio/multiCluster": "true"}},
			Data:       map[string][]byte{"west": tc.kubeconfig},
		}
		secrets := kube(t, east).CoreV1().Secrets("istio-system")
		if _, err := secrets.Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, states(t, east)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if err := secrets.Delete(t.Context(), "remote", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

func serverOf(t *testing.T, c cluster.Cluster) cluster.APIServer {
	t.Helper()
	k, ok := cluster.As[cluster.Kube](c)
	if !ok {
		t.Fatal("no API")
	}
	return k.APIServer()
}

// states is what the only istiod of a cluster says, by cluster.
func states(t *testing.T, c cluster.Cluster) map[string]string {
	t.Helper()
	asked, ok := cluster.As[cluster.Remotes](c)
	if !ok {
		t.Fatal("istiod cannot be asked")
	}
	istiods, err := asked.RemoteClusters(t.Context())
	if err != nil || len(istiods) != 1 {
		t.Fatalf("%d istiods (%v)", len(istiods), err)
	}
	out := map[string]string{}
	for _, r := range istiods[0].Clusters {
		out[r.ID] = r.Status
	}
	return out
}
