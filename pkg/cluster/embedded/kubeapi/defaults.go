// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// setDefaults fills in what a real server does and readers rely on.
func setDefaults(o object) {
	switch obj := o.(type) {
	case *corev1.Secret:
		defaultSecret(obj)
	case *corev1.Namespace:
		defaultNamespace(obj)
	case *corev1.Service:
		defaultService(obj)
	case *corev1.Pod:
		defaultPodSpec(&obj.Spec)
		if obj.Spec.ServiceAccountName == "" {
			obj.Spec.ServiceAccountName = "default" // the ServiceAccount admission
		}
		if obj.Status.Phase == "" {
			obj.Status.Phase = corev1.PodPending
		}
	case *appsv1.Deployment:
		defaultReplicas(&obj.Spec.Replicas)
		defaultPodSpec(&obj.Spec.Template.Spec)
	case *appsv1.ReplicaSet:
		defaultReplicas(&obj.Spec.Replicas)
		defaultPodSpec(&obj.Spec.Template.Spec)
	case *appsv1.StatefulSet:
		defaultReplicas(&obj.Spec.Replicas)
		defaultPodSpec(&obj.Spec.Template.Spec)
	case *appsv1.DaemonSet:
		defaultPodSpec(&obj.Spec.Template.Spec)
	}
}

func defaultSecret(s *corev1.Secret) {
	if s.Type == "" {
		s.Type = corev1.SecretTypeOpaque
	}
	if len(s.StringData) > 0 && s.Data == nil {
		s.Data = make(map[string][]byte, len(s.StringData))
	}
	for key, value := range s.StringData {
		s.Data[key] = []byte(value)
	}
	s.StringData = nil // write-only
}

func defaultNamespace(ns *corev1.Namespace) {
	if ns.Status.Phase == "" {
		ns.Status.Phase = corev1.NamespaceActive
	}
	if ns.Name != "" && ns.Labels[corev1.LabelMetadataName] != ns.Name {
		labels := maps.Clone(ns.Labels)
		if labels == nil {
			labels = map[string]string{}
		}
		labels[corev1.LabelMetadataName] = ns.Name
		ns.Labels = labels
	}
}

func defaultService(s *corev1.Service) {
	if s.Spec.Type == "" {
		s.Spec.Type = corev1.ServiceTypeClusterIP
	}
	if s.Spec.SessionAffinity == "" {
		s.Spec.SessionAffinity = corev1.ServiceAffinityNone
	}
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		if p.Protocol == "" {
			p.Protocol = corev1.ProtocolTCP
		}
		if p.TargetPort == (intstr.IntOrString{}) {
			p.TargetPort = intstr.FromInt32(p.Port)
		}
	}
}

func defaultReplicas(n **int32) {
	if *n == nil {
		*n = new(int32(1))
	}
}

func defaultPodSpec(s *corev1.PodSpec) {
	if s.RestartPolicy == "" {
		s.RestartPolicy = corev1.RestartPolicyAlways
	}
	if s.DNSPolicy == "" {
		s.DNSPolicy = corev1.DNSClusterFirst
	}
}
