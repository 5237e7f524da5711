// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"net/netip"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// systemObjects is the control plane and the gateways, as istioctl, the
// samples' gen-eastwest-gateway.sh and istiod's gateway controller leave them,
// except that nothing says yet which network the cluster is.
func systemObjects(clusterName string, vip func() string) []runtime.Object {
	istiodLabels := map[string]string{"app": istiodName, "istio": "pilot"}
	gatewayLabels := map[string]string{"app": gatewayName, "istio": "eastwestgateway"}
	ambientLabels := map[string]string{gatewayNameLabel: ambientGateway, managedLabel: managedValue}
	istiod := deployment(rootNamespace, istiodName, istiodLabels, istiodLabels, istiodLabels, istiodName, corev1.Container{
		Name: "discovery", Image: "meshprobe/istiod",
		Env: []corev1.EnvVar{
			{Name: "CLUSTER_ID", Value: clusterName},
			{Name: "TOKEN_AUDIENCES", Value: "istio-ca"},
			{Name: "CA_TRUSTED_NODE_ACCOUNTS", Value: rootNamespace + "/" + ztunnelName},
		},
		Ports: []corev1.ContainerPort{{ContainerPort: cluster.PortCA, Protocol: corev1.ProtocolTCP}},
	})
	return []runtime.Object{
		service(rootNamespace, istiodName, istiodLabels, istiodLabels, vip(), servicePort("https-dns", cluster.PortCA)),
		istiod,
		loadBalancer(gatewayName, gatewayLabels, vip(), servicePort("tls", cluster.PortPassthrough)),
		gatewayDeployment(gatewayName, gatewaySA, gatewayLabels, cluster.PortPassthrough),
		eastWestGateway(),
		loadBalancer(ambientGateway, ambientLabels, vip(), servicePort("mesh", cluster.PortHBONE)),
		gatewayDeployment(ambientGateway, ambientGateway, ambientLabels, cluster.PortHBONE),
		ztunnelDaemonSet(),
	}
}

func servicePort(name string, port int32) corev1.ServicePort {
	return corev1.ServicePort{Name: name, Port: port, TargetPort: intstr.FromInt32(port), Protocol: corev1.ProtocolTCP}
}

func loadBalancer(name string, labels map[string]string, vip string, port corev1.ServicePort) *corev1.Service {
	s := service(rootNamespace, name, labels, labels, vip, port)
	s.Spec.Type = corev1.ServiceTypeLoadBalancer
	return s
}

func gatewayDeployment(name, sa string, labels map[string]string, port int32) *appsv1.Deployment {
	return deployment(rootNamespace, name, labels, labels, labels, sa, corev1.Container{
		Name: proxyName, Image: "meshprobe/gateway",
		Ports: []corev1.ContainerPort{{ContainerPort: port, Protocol: corev1.ProtocolTCP}},
	})
}

// eastWestGateway is the Gateway of class istio-east-west
// (samples/multicluster/gen-eastwest-gateway.sh --ambient).
func eastWestGateway() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1",
		"kind":       "Gateway",
		"metadata":   map[string]any{"name": ambientGateway, "namespace": rootNamespace},
		"spec": map[string]any{
			"gatewayClassName": "istio-east-west",
			"listeners": []any{map[string]any{
				"name": "mesh", "port": int64(cluster.PortHBONE), "protocol": "HBONE",
				"tls": map[string]any{"mode": "Terminate", "options": map[string]any{"gateway.istio.io/tls-terminate-mode": "ISTIO_MUTUAL"}},
			}},
		},
	}}
}

func ztunnelDaemonSet() *appsv1.DaemonSet {
	labels := map[string]string{"app": ztunnelName}
	return &appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: ztunnelName, Namespace: rootNamespace, Labels: labels},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{
				Type:          appsv1.RollingUpdateDaemonSetStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxSurge: new(intstr.FromInt32(1)), MaxUnavailable: new(intstr.FromInt32(0))},
			},
			Template: podTemplate(labels, ztunnelName, corev1.Container{Name: proxyName, Image: "meshprobe/ztunnel"}),
		},
	}
}

// programGateway gives the ambient gateway the address and the status that
// istiod's gateway controller writes.
func programGateway(objects []runtime.Object, addr netip.Addr, at metav1.Time) {
	for _, o := range objects {
		u, ok := o.(*unstructured.Unstructured)
		if ok && u.GetKind() == "Gateway" {
			program(u, addr.String(), at)
		}
	}
}

// program gives a Gateway an address and a status.
func program(gateway *unstructured.Unstructured, addr string, at metav1.Time) {
	gateway.Object["status"] = map[string]any{
		"addresses": []any{map[string]any{"type": "IPAddress", "value": addr}},
		"conditions": []any{map[string]any{
			"type": "Programmed", "status": "True", "reason": "Programmed", "message": "Resource programmed",
			"lastTransitionTime": at.UTC().Format(time.RFC3339), "observedGeneration": int64(1),
		}},
	}
}
