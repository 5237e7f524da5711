// SPDX-License-Identifier: Apache-2.0

package live

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// policy makes a PeerAuthentication; port 0 sets no port of its own.
func policy(namespace, name, mode, app, portMode string, age int) unstructured.Unstructured {
	spec := map[string]any{}
	if mode != "" {
		spec["mtls"] = map[string]any{"mode": mode}
	}
	if app != "" {
		spec["selector"] = map[string]any{"matchLabels": map[string]any{"app": app}}
	}
	if portMode != "" {
		spec["portLevelMtls"] = map[string]any{"8080": map[string]any{"mode": portMode}}
	}
	u := unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	u.SetNamespace(namespace)
	u.SetName(name)
	u.SetCreationTimestamp(metav1.NewTime(time.Unix(int64(1000-age), 0)))
	return u
}

func TestMode(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Labels: map[string]string{"app": "pay"}}}
	for name, tc := range map[string]struct {
		policies []unstructured.Unstructured
		want     cluster.MTLSMode
	}{
		"none":              {nil, cluster.Permissive},
		"root":              {[]unstructured.Unstructured{policy("istio-system", "default", "STRICT", "", "", 0)}, cluster.Strict},
		"namespace-wins":    {[]unstructured.Unstructured{policy("istio-system", "default", "STRICT", "", "", 0), policy("shop", "default", "DISABLE", "", "", 0)}, cluster.Disable},
		"workload-wins":     {[]unstructured.Unstructured{policy("shop", "default", "STRICT", "", "", 0), policy("shop", "pay", "PERMISSIVE", "pay", "", 0)}, cluster.Permissive},
		"another-workload":  {[]unstructured.Unstructured{policy("shop", "cart", "STRICT", "cart", "", 0)}, cluster.Permissive},
		"another-namespace": {[]unstructured.Unstructured{policy("other", "default", "STRICT", "", "", 0)}, cluster.Permissive},
		"inherits":          {[]unstructured.Unstructured{policy("shop", "default", "STRICT", "", "", 0), policy("shop", "pay", "UNSET", "pay", "", 0)}, cluster.Strict},
		"port":              {[]unstructured.Unstructured{policy("shop", "pay", "STRICT", "pay", "DISABLE", 0)}, cluster.Disable},
		"older-first":       {[]unstructured.Unstructured{policy("shop", "b", "STRICT", "", "", 1), policy("shop", "a", "DISABLE", "", "", 9)}, cluster.Disable},
	} {
		t.Run(name, func(t *testing.T) {
			inv := &inventory{}
			for _, u := range tc.policies {
				inv.policies = append(inv.policies, readPolicy(u))
			}
			if got := inv.mode("istio-system", pod, 8080); got != tc.want {
				t.Errorf("mode %s, want %s", got, tc.want)
			}
		})
	}
}

func pod(name string, change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name + "-abc12-xyz", Namespace: "shop", Labels: map[string]string{"app": name, hashLabel: "abc12"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: name + "-abc12", Controller: new(true)}},
		},
		Spec: corev1.PodSpec{ServiceAccountName: name, Containers: []corev1.Container{{Name: "app", Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}}}}},
		Status: corev1.PodStatus{
			PodIP: "10.0.0.1", PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}},
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		},
	}
	if change != nil {
		change(p)
	}
	return p
}

func addSidecar(p *corev1.Pod) {
	p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: proxyContainer})
}

func TestWorkload(t *testing.T) {
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "pay"},
		Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "pay"}, Ports: []corev1.ServicePort{
			{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}, {Name: "http-web", Port: 80, TargetPort: intstr.FromString("web")},
		}},
	}
	inv := &inventory{services: map[string]*corev1.Service{"shop/pay": service}}
	inv.index()
	c := &Cluster{facts: Facts{Name: "east", Network: "net", RootNamespace: "istio-system"}}
	for name, tc := range map[string]struct {
		pod  *corev1.Pod
		spec *cluster.WorkloadSpec
		want cluster.Workload
	}{
		"sidecar": {pod: pod("pay", addSidecar), want: cluster.Workload{DataPlane: cluster.Sidecar, Proxy: cluster.ProxyEnvoy}},
		"native-sidecar": {pod: pod("pay", func(p *corev1.Pod) {
			always := corev1.ContainerRestartPolicyAlways
			p.Spec.InitContainers = []corev1.Container{{Name: proxyContainer, RestartPolicy: &always}}
		}), want: cluster.Workload{DataPlane: cluster.Sidecar, Proxy: cluster.ProxyEnvoy}},
		"init-container-of-that-name": {pod: pod("pay", func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: proxyContainer}}
		}), want: cluster.Workload{DataPlane: cluster.NoMesh}},
		"hbone": {
			pod:  pod("pay", func(p *corev1.Pod) { addSidecar(p); p.Labels[tunnelLabel] = "http" }),
			want: cluster.Workload{DataPlane: cluster.Sidecar, Proxy: cluster.ProxyEnvoy, HBONE: true},
		},
		"hbone-as-ambient": {
			pod:  pod("pay", func(p *corev1.Pod) { addSidecar(p); p.Labels[tunnelLabel] = "http" }),
			spec: &cluster.WorkloadSpec{DataPlane: cluster.Ambient, Service: &cluster.ServiceSpec{Name: "pay", Port: 80}},
			want: cluster.Workload{DataPlane: cluster.Ambient, Proxy: cluster.ProxyEnvoy},
		},
		"ambient": {
			pod:  pod("pay", func(p *corev1.Pod) { p.Annotations = map[string]string{redirection: "enabled"} }),
			want: cluster.Workload{DataPlane: cluster.Ambient, Proxy: cluster.ProxyZtunnel},
		},
		"none": {pod: pod("pay", nil), want: cluster.Workload{DataPlane: cluster.NoMesh}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.want.Ref = cluster.Ref{Cluster: "east", Namespace: "shop", Name: "pay"}
			tc.want.ServiceAccount, tc.want.Network, tc.want.MTLS = "pay", "net", cluster.Permissive
			tc.want.Service = &cluster.Service{Name: "pay", Host: "pay.shop.svc.cluster.local", Port: 80, Target: 8080, Protocol: "http"}
			got := c.workload(inv, tc.pod, tc.spec)
			if got.Address.String() != "10.0.0.1" || got.Service.PodPort() != 8080 {
				t.Errorf("address %s, port %d", got.Address, got.Service.PodPort())
			}
			got.Address = tc.want.Address
			if diff := cmp.Diff(tc.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("workload (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFound(t *testing.T) {
	old := pod("pay", func(p *corev1.Pod) { p.Name = "old"; p.CreationTimestamp = metav1.NewTime(time.Unix(1, 0)) })
	newer := pod("pay", func(p *corev1.Pod) { p.Name = "newer"; p.CreationTimestamp = metav1.NewTime(time.Unix(2, 0)) })
	broken := pod("pay", func(p *corev1.Pod) {
		p.Name, p.CreationTimestamp = "broken", metav1.NewTime(time.Unix(3, 0))
		p.Status.Conditions[0].Status = corev1.ConditionFalse
	})
	job := pod("once", func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "Job" })
	gateway := pod("gw", func(p *corev1.Pod) { p.Spec.Containers = []corev1.Container{{Name: proxyContainer}} })
	waypoint := pod("waypoint", func(p *corev1.Pod) { p.Labels[gatewayNameLabel] = "waypoint" })
	system := pod("istiod", func(p *corev1.Pod) { p.Namespace = "istio-system" })
	bare := pod("bare", func(p *corev1.Pod) { p.Name, p.OwnerReferences = "bare", nil })
	c := &Cluster{facts: Facts{RootNamespace: "istio-system"}}
	got := map[string]string{}
	for key, p := range c.found(&inventory{pods: []*corev1.Pod{broken, newer, old, job, gateway, waypoint, system, bare}}) {
		got[key] = p.Name
	}
	if diff := cmp.Diff(map[string]string{"shop/pay": "newer", "shop/bare": "bare"}, got); diff != "" {
		t.Errorf("pods (-want +got):\n%s", diff)
	}
}
