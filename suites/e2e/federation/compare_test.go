// SPDX-License-Identifier: Apache-2.0

package federation_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/suites/e2e/kindtest"
)

// touched are the kinds of objects that a federation may touch.
var touched = []schema.GroupVersionResource{
	{Version: "v1", Resource: "secrets"},
	{Version: "v1", Resource: "configmaps"},
	{Version: "v1", Resource: "namespaces"},
	{Version: "v1", Resource: "services"},
	{Version: "v1", Resource: "serviceaccounts"},
	{Group: "apps", Version: "v1", Resource: "deployments"},
	{Group: "apps", Version: "v1", Resource: "daemonsets"},
	{Group: "networking.istio.io", Version: "v1", Resource: "gateways"},
	{Group: "networking.istio.io", Version: "v1", Resource: "serviceentries"},
	{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"},
}

// controllers are annotations that count or lead, and belong to no user.
var controllers = []string{"deployment.kubernetes.io/revision", "control-plane.alpha.kubernetes.io/leader"}

// snapshot is every such object of every cluster, less what the API server and
// controllers write; of Secrets a digest stands for the data.
func snapshot(t *testing.T, set *cluster.Set) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, c := range set.Clusters {
		k, ok := cluster.As[cluster.Kube](c)
		if !ok {
			t.Fatal("no Kube")
		}
		for _, r := range touched {
			l, err := k.Dynamic().Resource(r).List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for i := range l.Items {
				o := &l.Items[i]
				out[c.Name()+"/"+r.GroupResource().String()+"/"+o.GetNamespace()+"/"+o.GetName()] = durable(t, o)
			}
		}
	}
	return out
}

func durable(t *testing.T, o *unstructured.Unstructured) string {
	t.Helper()
	for _, f := range []string{"resourceVersion", "uid", "generation", "creationTimestamp", "managedFields"} {
		unstructured.RemoveNestedField(o.Object, "metadata", f)
	}
	delete(o.Object, "status")
	notes := o.GetAnnotations()
	for _, n := range controllers {
		delete(notes, n)
	}
	unstructured.RemoveNestedField(o.Object, "metadata", "annotations")
	if len(notes) > 0 {
		o.SetAnnotations(notes)
	}
	// The API server notes the day on which a token is first used.
	if labels := o.GetLabels(); labels["kubernetes.io/legacy-token-last-used"] != "" {
		delete(labels, "kubernetes.io/legacy-token-last-used")
		o.SetLabels(labels)
	}
	if data, ok := o.Object["data"].(map[string]any); ok && o.GetKind() == "Secret" {
		for name, v := range data {
			data[name] = fmt.Sprintf("sha256 %x", sha256.Sum256(fmt.Append(nil, v)))
		}
	}
	text, err := json.MarshalIndent(o, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// likeIstioctl compares each remote secret with what istioctl
// create-remote-secret makes of the same cluster, field by field.
func likeIstioctl(t *testing.T, set *cluster.Set) {
	istioctl := kindtest.Istioctl(t)
	for _, to := range set.Clusters {
		k, ok := cluster.As[cluster.Kube](to)
		if !ok {
			t.Fatal("no Kube")
		}
		config := filepath.Join(t.TempDir(), "kubeconfig")
		raw, err := kindtest.NodeOf(t, to).Exec(t.Context(), "cat", "/etc/kubernetes/admin.conf")
		if err != nil {
			t.Fatal(err)
		}
		var doc map[string]any
		if err := yaml.Unmarshal(raw, &doc); err != nil {
			t.Fatal("the node's kubeconfig cannot be read")
		}
		clusters, _, _ := unstructured.NestedSlice(doc, "clusters")
		if err := unstructured.SetNestedField(clusters[0].(map[string]any), k.APIServer().URL, "cluster", "server"); err != nil {
			t.Fatal(err)
		}
		doc["clusters"] = clusters
		if raw, err = yaml.Marshal(doc); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(config, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), istioctl, "create-remote-secret", "--kubeconfig", config, "--name", to.Name(), "--server", k.APIServer().URL)
		var complaint strings.Builder
		cmd.Stderr = &complaint
		made, err := cmd.Output()
		if err != nil {
			t.Fatalf("istioctl: %v: %s", err, complaint.String())
		}
		var want corev1.Secret
		if err := yaml.Unmarshal(made, &want); err != nil {
			t.Fatal("what istioctl made cannot be read")
		}
		for _, in := range set.Clusters {
			if in != to {
				sameSecret(t, in, &want)
			}
		}
	}
}

// sameSecret holds the remote secret in a cluster to the one that istioctl made:
// all of it is there, and beside it nothing but the marks of meshprobe.
func sameSecret(t *testing.T, in cluster.Cluster, want *corev1.Secret) {
	t.Helper()
	k, _ := cluster.As[cluster.Kube](in)
	have, err := k.Kubernetes().CoreV1().Secrets(want.Namespace).Get(t.Context(), want.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if have.Labels["app.kubernetes.io/managed-by"] != "meshprobe" || have.Labels["meshprobe.io/mesh"] != "e2e" {
		t.Errorf("%s: labels %v", have.Name, have.Labels)
	}
	for _, notes := range []map[string]string{have.Labels, have.Annotations} {
		for name := range notes {
			if strings.HasPrefix(name, "meshprobe.io/") || name == "app.kubernetes.io/managed-by" {
				delete(notes, name)
			}
		}
	}
	if diff := cmp.Diff(want.Labels, have.Labels); diff != "" {
		t.Errorf("%s: labels (-istioctl +meshprobe):\n%s", have.Name, diff)
	}
	if diff := cmp.Diff(want.Annotations, have.Annotations); diff != "" {
		t.Errorf("%s: annotations (-istioctl +meshprobe):\n%s", have.Name, diff)
	}
	if have.Type != corev1.SecretTypeOpaque || len(have.Data) != len(want.StringData) {
		t.Errorf("%s: type %s with %d keys", have.Name, have.Type, len(have.Data))
	}
	for name, text := range want.StringData {
		var ours, theirs map[string]any
		if yaml.Unmarshal(have.Data[name], &ours) != nil || yaml.Unmarshal([]byte(text), &theirs) != nil {
			t.Fatalf("%s: %s is no kubeconfig", have.Name, name)
		}
		if !cmp.Equal(theirs, ours) { // a diff would show the token
			t.Errorf("%s: %s is not the kubeconfig that istioctl made", have.Name, name)
		}
	}
}
