// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/fault"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites"
)

// istiodRole is what istiod may do in its cluster.
const istiodRole = "istiod-clusterrole-" + system

// rootsHeld takes from istiod the right to write ConfigMaps, without which it
// leaves an old root where it is; with it, it puts the right one back at once.
func rootsHeld(t *testing.T, m *realMesh) {
	t.Helper()
	api := m.api(t, m.hit).Dynamic().Resource(clusterRoles)
	role, err := api.Get(t.Context(), istiodRole, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rules, _, err := unstructured.NestedSlice(role.Object, "rules")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		rule := r.(map[string]any)
		if resources, _, _ := unstructured.NestedStringSlice(rule, "resources"); len(resources) == 1 && resources[0] == "configmaps" {
			rule["verbs"] = []any{"get", "list", "watch"}
		}
	}
	if err := unstructured.SetNestedSlice(role.Object, rules, "rules"); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Update(t.Context(), role, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	order, err := fault.Parse("root-configmap-stale")
	if err != nil {
		t.Fatal(err)
	}
	if err := order.Apply(t.Context(), m.set); err != nil {
		t.Fatal(err)
	}
}

// othersExposed has the gateway expose the services of another namespace only.
// Where it exposes none at all, a real one does not even listen.
func othersExposed(t *testing.T, m *realMesh) {
	t.Helper()
	m.patch(t, m.hit, gateways, system, "cross-network-gateway",
		`{"spec":{"servers":[{"port":{"number":15443,"name":"tls","protocol":"TLS"},"tls":{"mode":"AUTO_PASSTHROUGH"},"hosts":["*.istio-system.svc.cluster.local"]}]}}`)
}

// policyMissed has a sidecar lose its control plane while its policy says
// PERMISSIVE; that it says STRICT again it is not told.
func policyMissed(t *testing.T, m *realMesh) {
	t.Helper()
	namespace, name := m.called(t, cluster.Sidecar)
	setMode := func(mode cluster.MTLSMode) {
		m.patch(t, m.hit, policies, namespace, "default", fmt.Sprintf(`{"spec":{"mtls":{"mode":%q}}}`, mode))
	}
	setMode(cluster.Permissive)
	begun := time.Now()
	for !m.plaintextAnswered(t, namespace, name) {
		if time.Since(begun) > converge {
			t.Fatalf("the sidecar of %s/%s takes no plaintext in PERMISSIVE mode", namespace, name)
		}
	}
	// Both ways: what istiod pushes would arrive before its answer is refused.
	pod := m.podIP(t, namespace, name)
	m.iptables(t, "-d", pod, "-p", "tcp", "--sport", "15012", "-j", "DROP")
	m.iptables(t, "-s", pod, "-p", "tcp", "--dport", "15012", "-j", "REJECT", "--reject-with", "tcp-reset")
	setMode(cluster.Strict)
}

// called is the workload behind the first service of the cluster that another
// cluster calls.
func (m *realMesh) called(t *testing.T, dp cluster.DataPlane) (namespace, name string) {
	t.Helper()
	spec, _ := m.set.Topology.Spec(m.hit)
	for e := range m.set.Edges() {
		for _, ns := range spec.Namespaces {
			for _, w := range ns.Workloads {
				if e.To.Cluster == m.hit && e.DataPlane == dp && ns.Name == e.To.Namespace && w.Service != nil && w.Service.Name == e.To.Name {
					return ns.Name, w.Name
				}
			}
		}
	}
	t.Fatalf("nobody calls a %s workload of %s", dp, m.hit)
	return "", ""
}

func (m *realMesh) podIP(t *testing.T, namespace, workload string) string {
	t.Helper()
	pods, err := m.api(t, m.hit).Kubernetes().CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + workload})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pods.Items {
		if p.DeletionTimestamp == nil && p.Status.PodIP != "" {
			return p.Status.PodIP
		}
	}
	t.Fatalf("no pod of %s/%s", namespace, workload)
	return ""
}

// plaintextAnswered asks the mTLS suite.
func (m *realMesh) plaintextAnswered(t *testing.T, namespace, workload string) bool {
	t.Helper()
	p, err := probe.Select(suites.Mesh(), probe.Selection{Run: "^handshake/permissive-takes-both$"})
	if err != nil {
		t.Fatal(err)
	}
	subject := m.hit + "/" + namespace + "/" + workload
	for _, f := range m.runPlan(t, nil, p).findings {
		if f.Subject == subject {
			return f.Status == probe.Pass
		}
	}
	t.Fatalf("nothing is said of %s", subject)
	return false
}
