// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"fmt"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Names that an Istio installation fixes.
const (
	rootNamespace  = "istio-system"
	istiodName     = "istiod"
	ztunnelName    = "ztunnel"
	gatewayName    = "istio-eastwestgateway"
	gatewaySA      = "istio-eastwestgateway-service-account"
	ambientGateway = "eastwest-ambient" // Gateway, Deployment, Service and service account
	readerSA       = "istio-reader-service-account"
	rootConfigMap  = "istio-ca-root-cert"
	rootCertKey    = "root-cert.pem"
	selfSignedName = "istio-ca-secret"
	pluginName     = "cacerts"
	meshConfigMap  = "istio"

	networkLabel   = "topology.istio.io/network"
	injectionLabel = "istio-injection"
	injectLabel    = "sidecar.istio.io/inject"
	modeLabel      = "istio.io/dataplane-mode"
	globalLabel    = "istio.io/global"
	tlsModeLabel   = "security.istio.io/tlsMode"
	managedLabel   = "gateway.istio.io/managed"
	managedValue   = "istio.io-eastwest-controller"
	tunnelLabel    = "networking.istio.io/tunnel"

	managedWaypoint  = "istio.io-mesh-controller" // value of managedLabel
	gatewayNameLabel = "gateway.networking.k8s.io/gateway-name"
	gatewayClass     = "gateway.networking.k8s.io/gateway-class-name"
	waypointClass    = "istio-waypoint"
	waypointFor      = "istio.io/waypoint-for"
	useWaypoint      = "istio.io/use-waypoint"

	balancerCert = "service.beta.kubernetes.io/aws-load-balancer-ssl-cert" // annotation of a Service

	redirection = "ambient.istio.io/redirection" // annotation of a pod that ztunnel captures
	proxyName   = "istio-proxy"                  // container
)

// The custom resources that the provider reads or writes.
var (
	peerAuthenticationGVR = schema.GroupVersionResource{Group: "security.istio.io", Version: "v1", Resource: "peerauthentications"}
	istioGatewayGVR       = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "gateways"}
	serviceEntryGVR       = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "serviceentries"}
	envoyFilterGVR        = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1alpha3", Resource: "envoyfilters"}
	kubeGatewayGVR        = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"}
)

// meshConfig is the part of Istio's mesh configuration that matters to trust
// (istio.io/api mesh/v1alpha1, MeshConfig).
type meshConfig struct {
	RootNamespace      string   `yaml:"rootNamespace,omitempty"`
	TrustDomain        string   `yaml:"trustDomain,omitempty"`
	TrustDomainAliases []string `yaml:"trustDomainAliases,omitempty"`
}

// baseObjects is what the cluster has before any workload: namespaces, node,
// service accounts, mesh configuration, PeerAuthentications.
func baseObjects(spec cluster.ClusterSpec, node string) ([]runtime.Object, error) {
	mesh, err := yaml.Marshal(meshConfig{RootNamespace: rootNamespace, TrustDomain: spec.TrustDomain, TrustDomainAliases: spec.TrustDomainAliases})
	if err != nil {
		return nil, fmt.Errorf("mesh config: %w", err)
	}
	objects := []runtime.Object{
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}},
		namespace(rootNamespace, nil), // the API server makes those of Kubernetes itself
		&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: meshConfigMap, Namespace: rootNamespace, Labels: map[string]string{"release": "istio"}},
			Data:       map[string]string{"mesh": string(mesh)},
		},
	}
	for _, sa := range []string{istiodName, ztunnelName, gatewaySA, ambientGateway, readerSA} {
		objects = append(objects, serviceAccount(rootNamespace, sa))
	}
	for _, ns := range spec.Namespaces {
		if !wellKnown(ns.Name) {
			objects = append(objects, namespace(ns.Name, namespaceLabels(ns)))
		}
		objects = append(objects, peerAuthentication(ns.Name, "default", nil, ns.MTLS))
		seen := map[string]bool{}
		for _, w := range ns.Workloads {
			if !seen[w.ServiceAccount] && w.ServiceAccount != "default" {
				seen[w.ServiceAccount] = true
				objects = append(objects, serviceAccount(ns.Name, w.ServiceAccount))
			}
			if w.MTLS != ns.MTLS {
				objects = append(objects, peerAuthentication(ns.Name, w.Name, podSelector(w), w.MTLS))
			}
		}
	}
	return objects, nil
}

func wellKnown(namespace string) bool {
	switch namespace {
	case "default", "kube-system", "kube-public", "kube-node-lease", rootNamespace:
		return true
	}
	return false
}

func namespace(name string, labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

// namespaceLabels chooses the data plane of a namespace: that of its first
// workload in the mesh. Workloads that deviate say so on their pods.
func namespaceLabels(ns cluster.NamespaceSpec) map[string]string {
	labels := map[string]string{}
	switch namespaceDataPlane(ns) {
	case cluster.Sidecar:
		labels[injectionLabel] = "enabled"
	case cluster.Ambient:
		labels[modeLabel] = "ambient"
	case cluster.NoMesh:
	}
	if ns.Waypoint != "" {
		labels[useWaypoint] = ns.Waypoint
	}
	return labels
}

func namespaceDataPlane(ns cluster.NamespaceSpec) cluster.DataPlane {
	for _, w := range ns.Workloads {
		if w.DataPlane != cluster.NoMesh {
			return w.DataPlane
		}
	}
	return cluster.NoMesh
}

func serviceAccount(namespace, name string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
}

// peerAuthentication sets the mTLS mode of a namespace, or of the pods that
// match a selector.
func peerAuthentication(namespace, name string, selector map[string]string, mode cluster.MTLSMode) *unstructured.Unstructured {
	spec := map[string]any{"mtls": map[string]any{"mode": string(mode)}}
	if selector != nil {
		labels := map[string]any{}
		for k, v := range selector {
			labels[k] = v
		}
		spec["selector"] = map[string]any{"matchLabels": labels}
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "security.istio.io/v1",
		"kind":       "PeerAuthentication",
		"metadata":   map[string]any{"name": name, "namespace": namespace},
		"spec":       spec,
	}}
}
