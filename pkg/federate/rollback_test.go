// SPDX-License-Identifier: Apache-2.0

package federate_test

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/federate"
	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
)

func TestRollbackPutsBackWhatWasThere(t *testing.T) {
	t.Parallel()
	for name, furnish := range map[string]func(*testing.T, *cluster.Set){
		"nothing-there":    func(*testing.T, *cluster.Set) {},
		"everything-there": furnish,
	} {
		t.Run(name, func(t *testing.T) {
			set, o := mesh(t), options(t)
			furnish(t, set)
			before := withoutRoots(durable(t, snapshot(t, set)))
			o.ServiceEntries = true
			apply(t, set, o, nil)
			if err := federate.Rollback(t.Context(), set, o, nil); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, withoutRoots(durable(t, snapshot(t, set)))); diff != "" {
				t.Errorf("after rollback (-before +after):\n%s", diff)
			}
			checkRoots(t, set)
			again := snapshot(t, set)
			if err := federate.Rollback(t.Context(), set, o, nil); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(again, snapshot(t, set)); diff != "" {
				t.Errorf("a second rollback changed (-before +after):\n%s", diff)
			}
			short := o
			short.VerifyTimeout = 1
			if err := federate.Verify(t.Context(), set, short, nil); err == nil {
				t.Error("the clusters still trust each other")
			}
			apply(t, set, o, nil)
		})
	}
}

// A Rollback that is killed after each single write comes to the same end.
func TestRollbackKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	set, o := mesh(t), options(t)
	o.NoVerify = true
	furnish(t, set)
	before := withoutRoots(durable(t, snapshot(t, set)))
	apply(t, set, o, nil)
	rounds := 0
	for killed := true; killed; rounds++ {
		killed = killedAfter(t, set, stride(), func(ctx context.Context, set *cluster.Set) error {
			return federate.Rollback(ctx, set, o, nil)
		})
	}
	if rounds < 20/stride() {
		t.Errorf("only %d rounds", rounds)
	}
	if diff := cmp.Diff(before, withoutRoots(durable(t, snapshot(t, set)))); diff != "" {
		t.Errorf("after rollback (-before +after):\n%s", diff)
	}
	checkRoots(t, set)
}

// What somebody else wrote after Apply is not lost by the next Apply.
func TestWhatOthersWroteMeanwhileIsKept(t *testing.T) {
	t.Parallel()
	set, o := mesh(t), options(t)
	furnish(t, set)
	apply(t, set, o, nil)
	secrets := kubeOf(t, set, "east").Kubernetes().CoreV1().Secrets("istio-system")
	s, err := secrets.Get(t.Context(), "istio-remote-secret-west", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.Data = map[string][]byte{"west": []byte("by hand")}
	if _, err := secrets.Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	apply(t, set, o, nil)
	kept, err := secrets.Get(t.Context(), "meshprobe-backup-secret-istio-remote-secret-west", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(kept.Data) != 2 {
		t.Errorf("%d backups, want the first and the second", len(kept.Data))
	}
	if err := federate.Rollback(t.Context(), set, o, nil); err != nil {
		t.Fatal(err)
	}
	s, err = secrets.Get(t.Context(), "istio-remote-secret-west", metav1.GetOptions{})
	if err != nil || string(s.Data["west"]) != "by hand" {
		t.Errorf("after rollback: %q (%v)", s.Data["west"], err)
	}
}

// furnish makes east what a cluster that somebody federated before looks like.
// istiod has not read its cacerts yet.
func furnish(t *testing.T, set *cluster.Set) {
	t.Helper()
	k := kubeOf(t, set, "east")
	secrets := k.Kubernetes().CoreV1().Secrets("istio-system")
	for _, s := range []*corev1.Secret{
		{
			ObjectMeta: metav1.ObjectMeta{Name: "cacerts", Labels: map[string]string{"owner": "platform"}, Annotations: map[string]string{"note": "made by hand"}},
			Type:       "istio.io/cacerts", Immutable: new(true), Data: foreignCA(t),
		},
		{
			ObjectMeta: metav1.ObjectMeta{Name: "istio-remote-secret-west", Labels: map[string]string{"istio/multiCluster": "true"}},
			Type:       "example.com/kubeconfig", Data: map[string][]byte{"west": []byte("not a kubeconfig")},
		},
	} {
		if _, err := secrets.Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	gw := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": "Gateway",
		"metadata": map[string]any{"name": "cross-network-gateway", "namespace": "istio-system", "labels": map[string]any{"a": "b"}},
		"spec": map[string]any{"selector": map[string]any{"istio": "ingressgateway"}, "servers": []any{map[string]any{
			"port": map[string]any{"number": int64(443), "name": "tls", "protocol": "TLS"}, "hosts": []any{"x.example"}, "tls": map[string]any{"mode": "PASSTHROUGH"},
		}}},
	}}
	gateways := schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "gateways"}
	if _, err := k.Dynamic().Resource(gateways).Namespace("istio-system").Create(t.Context(), gw, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	label := []byte(`{"metadata":{"labels":{"topology.istio.io/network":"old"},"annotations":{"note":"kept"}}}`)
	if _, err := k.Kubernetes().CoreV1().Namespaces().Patch(t.Context(), "istio-system", types.MergePatchType, label, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	restarted := []byte(`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2026-01-01T00:00:00Z"}}}}}`)
	if _, err := k.Kubernetes().AppsV1().Deployments("bookinfo").Patch(t.Context(), "ratings-v1", types.MergePatchType, restarted, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// foreignCA is a plug-in CA under a root that meshprobe does not know.
func foreignCA(t *testing.T) map[string][]byte {
	t.Helper()
	i, err := issuer.NewBuiltin(&issuer.Memory{}, issuer.Options{KeyType: issuer.ECDSAP256, Org: "platform"})
	if err != nil {
		t.Fatal(err)
	}
	key, err := i.Profile().GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := i.Profile().Request(key, "east")
	if err != nil {
		t.Fatal(err)
	}
	chain, err := i.Sign(t.Context(), csr, "east")
	if err != nil {
		t.Fatal(err)
	}
	root, err := i.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keyPEM, err := issuer.EncodeKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"ca-cert.pem": issuer.EncodeCertificates(chain...), "ca-key.pem": keyPEM,
		"root-cert.pem": issuer.EncodeCertificates(root), "cert-chain.pem": issuer.EncodeCertificates(chain[0], root),
	}
}

func kubeOf(t *testing.T, set *cluster.Set, name string) cluster.Kube {
	t.Helper()
	c, ok := set.Cluster(name)
	if !ok {
		t.Fatalf("no cluster %s", name)
	}
	k, ok := cluster.As[cluster.Kube](c)
	if !ok {
		t.Fatalf("%s has no Kube", name)
	}
	return k
}

// withoutRoots leaves out what istiod writes: checkRoots looks at that.
func withoutRoots(in map[string]string) map[string]string {
	out := maps.Clone(in)
	maps.DeleteFunc(out, func(name, _ string) bool { return strings.HasSuffix(name, "/istio-ca-root-cert") })
	return out
}

// checkRoots: every namespace has the root of the CA that is there now.
func checkRoots(t *testing.T, set *cluster.Set) {
	t.Helper()
	for _, c := range set.Clusters {
		k := kubeOf(t, set, c.Name()).Kubernetes().CoreV1()
		s, err := k.Secrets("istio-system").Get(t.Context(), "cacerts", metav1.GetOptions{})
		if err != nil {
			if s, err = k.Secrets("istio-system").Get(t.Context(), "istio-ca-secret", metav1.GetOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		maps, err := k.ConfigMaps("").List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=istio-ca-root-cert"})
		if err != nil || len(maps.Items) < 3 {
			t.Fatalf("%d roots (%v)", len(maps.Items), err)
		}
		for _, m := range maps.Items {
			if m.Data["root-cert.pem"] != string(s.Data["root-cert.pem"]) {
				t.Errorf("%s/%s does not have the root of %s", c.Name(), m.Namespace, s.Name)
			}
		}
	}
}
