// SPDX-License-Identifier: Apache-2.0

package live

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// TestNameWithoutIstiod: a cluster whose istiod is down keeps its name, or remote
// secrets for it would be called missing and others asked for.
func TestNameWithoutIstiod(t *testing.T) {
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "istio-system", Name: name, Labels: map[string]string{"app": "istiod"}}
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "istio-system", Labels: map[string]string{networkLabel: "net-label"}}}
	for name, tc := range map[string]struct {
		values  string
		want    [2]string // name, network
		assumed []string
	}{
		"named":     {`{"global":{"network":"net1","multiCluster":{"clusterName":"west"}}}`, [2]string{"west", "net1"}, nil},
		"default":   {`{"global":{}}`, [2]string{"Kubernetes", "net-label"}, nil},
		"no values": {"", [2]string{"ctx", "net-label"}, []string{"cluster ID: no pod of istiod is seen"}},
		"garbage":   {"[", [2]string{"ctx", "net-label"}, []string{"cluster ID: no pod of istiod is seen"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := &Cluster{config: Config{Spec: cluster.ClusterSpec{Context: "ctx"}}, kube: fake.NewClientset([]runtime.Object{
				namespace, &corev1.Service{ObjectMeta: meta("istiod")},
				&corev1.ConfigMap{ObjectMeta: meta("istio"), Data: map[string]string{"mesh": "trustDomain: cluster.local"}},
				&corev1.ConfigMap{ObjectMeta: meta("istio-sidecar-injector"), Data: map[string]string{"values": tc.values}},
			}...)}
			f, err := c.discover(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, [2]string{f.Name, f.Network}); diff != "" {
				t.Errorf("name and network (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.assumed, f.Assumed); diff != "" {
				t.Errorf("assumed (-want +got):\n%s", diff)
			}
		})
	}
}
