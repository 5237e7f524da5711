// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"maps"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// workloadLabel selects the pods of one Deployment, whatever service it is of.
const workloadLabel = "app.kubernetes.io/name"

// podSelector selects the pods of one workload.
func podSelector(w cluster.WorkloadSpec) map[string]string {
	return map[string]string{workloadLabel: w.Name}
}

// workloadObjects makes the Deployments of a namespace and the Services in
// front of them. vip gives a Service its address.
func workloadObjects(ns cluster.NamespaceSpec, vip func() string) []runtime.Object {
	var services, deployments []runtime.Object
	seen := map[string]bool{}
	for _, w := range ns.Workloads {
		if s := w.Service; s != nil && !seen[s.Name] {
			seen[s.Name] = true
			services = append(services, workloadService(ns.Name, *s, w.DataPlane, vip()))
		}
	}
	for _, w := range ns.Workloads {
		deployments = append(deployments, workloadDeployment(ns, w, seen))
	}
	return append(services, deployments...)
}

func workloadService(namespace string, s cluster.ServiceSpec, dp cluster.DataPlane, vip string) *corev1.Service {
	labels := map[string]string{"app": s.Name, "service": s.Name}
	if dp == cluster.Ambient {
		// Sidecars share services between clusters by default, ambient only
		// those of global scope (wire: serviceScopeConfigs of the profile).
		labels[globalLabel] = "true"
	}
	if s.Waypoint != "" {
		labels[useWaypoint] = s.Waypoint
	}
	return service(namespace, s.Name, labels, map[string]string{"app": s.Name}, vip, portOf(s))
}

// portOf declares the protocol as Istio reads it: by the name of the port.
func portOf(s cluster.ServiceSpec) corev1.ServicePort {
	p := corev1.ServicePort{Port: int32(s.Port), TargetPort: intstr.FromInt32(int32(s.Port)), Protocol: corev1.ProtocolTCP}
	if s.Protocol != "auto" {
		p.Name = s.Protocol
	}
	return p
}

func service(namespace, name string, labels, selector map[string]string, vip string, ports ...corev1.ServicePort) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: labels},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, ClusterIP: vip, ClusterIPs: []string{vip},
			IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Selector:   selector, Ports: ports,
		},
	}
}

func workloadDeployment(ns cluster.NamespaceSpec, w cluster.WorkloadSpec, services map[string]bool) *appsv1.Deployment {
	labels := podSelector(w)
	labels["app"] = w.Name
	switch {
	case w.Service != nil:
		labels["app"] = w.Service.Name
	case services[w.Name]:
		labels["app"] = w.Name + "-client" // not behind the service of that name
	}
	if i := strings.LastIndex(w.Name, "-v"); i > 0 {
		labels["version"] = w.Name[i+1:]
	}
	template := maps.Clone(labels)
	if w.DataPlane != namespaceDataPlane(ns) {
		template[injectLabel], template[modeLabel] = "false", "none"
		switch w.DataPlane {
		case cluster.Sidecar:
			template[injectLabel] = "true"
		case cluster.Ambient:
			template[modeLabel] = "ambient"
		case cluster.NoMesh:
		}
	}
	if w.HBONE {
		template[tunnelLabel] = "http"
	}
	container := corev1.Container{Name: "app", Image: "meshprobe/app"}
	if w.Service != nil {
		container.Ports = []corev1.ContainerPort{{ContainerPort: int32(w.Service.Port), Protocol: corev1.ProtocolTCP}}
	}
	return deployment(ns.Name, w.Name, labels, podSelector(w), template, w.ServiceAccount, container)
}

func deployment(namespace, name string, labels, selector, template map[string]string, sa string, container corev1.Container) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(1)),
			Selector: &metav1.LabelSelector{MatchLabels: selector},
			Strategy: appsv1.DeploymentStrategy{
				Type: appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{
					MaxSurge: new(intstr.FromString("100%")), MaxUnavailable: new(intstr.FromString("25%")),
				},
			},
			Template: podTemplate(template, sa, container),
		},
	}
}

func podTemplate(labels map[string]string, sa string, container corev1.Container) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec:       corev1.PodSpec{ServiceAccountName: sa, Containers: []corev1.Container{container}},
	}
}

// dataPlaneOf is what injection and the ambient CNI decide for a pod: its own
// labels first, then its namespace's.
func dataPlaneOf(pod, namespace map[string]string) cluster.DataPlane {
	switch {
	case pod[injectLabel] == "true":
		return cluster.Sidecar
	case pod[modeLabel] == "ambient":
		return cluster.Ambient
	case pod[injectLabel] != "false" && namespace[injectionLabel] == "enabled":
		return cluster.Sidecar
	case pod[modeLabel] != "none" && namespace[modeLabel] == "ambient":
		return cluster.Ambient
	}
	return cluster.NoMesh
}
