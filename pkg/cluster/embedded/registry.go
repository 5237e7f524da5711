// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// The builtin resources that the control plane reads.
var (
	namespacesGVR = corev1.SchemeGroupVersion.WithResource("namespaces")
	configMapsGVR = corev1.SchemeGroupVersion.WithResource("configmaps")
	secretsGVR    = corev1.SchemeGroupVersion.WithResource("secrets")
	accountsGVR   = corev1.SchemeGroupVersion.WithResource("serviceaccounts")
	servicesGVR   = corev1.SchemeGroupVersion.WithResource("services")
	podsGVR       = corev1.SchemeGroupVersion.WithResource("pods")
	slicesGVR     = discoveryv1.SchemeGroupVersion.WithResource("endpointslices")
)

// registrySources are the resources that a registry is made of.
func registrySources() []schema.GroupVersionResource {
	return []schema.GroupVersionResource{
		namespacesGVR, configMapsGVR, servicesGVR, podsGVR, slicesGVR,
		peerAuthenticationGVR, kubeGatewayGVR, istioGatewayGVR, serviceEntryGVR, envoyFilterGVR,
	}
}

// reader lists all objects of a resource: the local store, or another
// cluster's API through a remote secret.
type reader func(ctx context.Context, gvr schema.GroupVersionResource) ([]runtime.Object, error)

// registry is what a control plane knows of one cluster: nothing but what the
// cluster's objects say. It is immutable.
type registry struct {
	network    string // label of the root namespace, "" where there is none
	mesh       meshConfig
	namespaces map[string]map[string]string // labels by name
	services   map[string]*serviceView      // by host
	pods       map[string]*podView          // by namespace/name
	byAddress  map[netip.Addr]*serviceView  // by cluster IP and by external address
	gateways   []gatewayView
	exposed    []string // hosts of AUTO_PASSTHROUGH servers on 15443
	entries    map[string]*entryView
	policies   []peerPolicy
	onesided   []selection // where an EnvoyFilter turns client certificates off
}

// serviceView is a Service with its endpoints.
type serviceView struct {
	namespace, name, host string
	network               string // label of a gateway's Service
	vip                   netip.Addr
	external              []netip.Addr
	ports                 []corev1.ServicePort
	global                bool
	waypoint              string // namespace/name of the one that it asks for, "" for none
	waypointFor           string // of a waypoint's Service
	terminated            bool   // the load balancer in front of it ends TLS
	endpoints             []endpointView
}

type endpointView struct {
	addr  netip.Addr
	ports map[string]uint16 // by port name
	pod   *podView          // nil where the slice names none
}

type podView struct {
	namespace, name, serviceAccount, node, uid string
	labels                                     map[string]string
	addr                                       netip.Addr
	ready                                      bool
	dataPlane                                  cluster.DataPlane
	mtls                                       cluster.MTLSMode
}

// readRegistry reads a cluster's objects. Anything that cannot be read makes
// the whole unreadable, as an informer that does not sync does.
func readRegistry(ctx context.Context, list reader) (*registry, error) {
	objects := map[schema.GroupVersionResource][]runtime.Object{}
	for _, gvr := range registrySources() {
		found, err := list(ctx, gvr)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", gvr.Resource, err)
		}
		objects[gvr] = found
	}
	r := &registry{
		namespaces: map[string]map[string]string{}, services: map[string]*serviceView{}, pods: map[string]*podView{},
		byAddress: map[netip.Addr]*serviceView{}, entries: map[string]*entryView{},
	}
	for _, ns := range each[*corev1.Namespace](objects[namespacesGVR]) {
		r.namespaces[ns.Name] = ns.Labels
	}
	r.network = r.namespaces[rootNamespace][networkLabel]
	for _, cm := range each[*corev1.ConfigMap](objects[configMapsGVR]) {
		if cm.Namespace == rootNamespace && cm.Name == meshConfigMap {
			if err := yaml.Unmarshal([]byte(cm.Data["mesh"]), &r.mesh); err != nil {
				return nil, fmt.Errorf("mesh config: %w", err)
			}
		}
	}
	r.addPolicies(objects[peerAuthenticationGVR])
	r.addFilters(objects[envoyFilterGVR])
	for _, pod := range each[*corev1.Pod](objects[podsGVR]) {
		r.addPod(pod)
	}
	for _, s := range each[*corev1.Service](objects[servicesGVR]) {
		r.addService(s)
	}
	for _, s := range each[*discoveryv1.EndpointSlice](objects[slicesGVR]) {
		r.addSlice(s)
	}
	r.addGateways(objects[kubeGatewayGVR])
	r.addExposed(objects[istioGatewayGVR])
	r.addEntries(objects[serviceEntryGVR])
	return r, nil
}

// each keeps the objects of one type.
func each[T any](objects []runtime.Object) []T {
	var kept []T
	for _, o := range objects {
		if t, ok := o.(T); ok {
			kept = append(kept, t)
		}
	}
	return kept
}

func (r *registry) addPod(pod *corev1.Pod) {
	v := &podView{
		namespace: pod.Namespace, name: pod.Name, serviceAccount: pod.Spec.ServiceAccountName, node: pod.Spec.NodeName, uid: string(pod.UID),
		labels: pod.Labels, dataPlane: observedDataPlane(pod),
	}
	v.addr, _ = netip.ParseAddr(pod.Status.PodIP)
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			v.ready = c.Status == corev1.ConditionTrue
		}
	}
	v.mtls = r.mode(v.namespace, v.labels)
	r.pods[v.namespace+"/"+v.name] = v
}

// observedDataPlane is what a pod shows of what captured it: an injected
// container, or the ambient CNI's annotation.
func observedDataPlane(pod *corev1.Pod) cluster.DataPlane {
	if pod.Annotations[redirection] == "enabled" {
		return cluster.Ambient
	}
	if pod.Labels[tlsModeLabel] == "istio" && slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == proxyName }) {
		return cluster.Sidecar
	}
	return cluster.NoMesh
}

func (r *registry) addService(s *corev1.Service) {
	v := &serviceView{
		namespace: s.Namespace, name: s.Name, host: s.Name + "." + s.Namespace + ".svc.cluster.local",
		network: s.Labels[networkLabel], ports: s.Spec.Ports, terminated: s.Annotations[balancerCert] != "",
		global: s.Labels[globalLabel] == "true" || r.namespaces[s.Namespace][globalLabel] == "true",
	}
	v.waypoint, v.waypointFor = r.wantedWaypoint(s), s.Labels[waypointFor]
	for _, in := range s.Status.LoadBalancer.Ingress {
		if a, err := netip.ParseAddr(in.IP); err == nil {
			v.external = append(v.external, a)
			r.byAddress[a] = v
		}
	}
	if vip, err := netip.ParseAddr(s.Spec.ClusterIP); err == nil {
		v.vip = vip
		r.byAddress[vip] = v
	}
	r.services[v.host] = v
}

func (r *registry) addSlice(s *discoveryv1.EndpointSlice) {
	service := r.services[s.Labels[discoveryv1.LabelServiceName]+"."+s.Namespace+".svc.cluster.local"]
	if service == nil {
		return
	}
	ports := map[string]uint16{}
	for _, p := range s.Ports {
		if p.Port != nil {
			ports[deref(p.Name)] = uint16(*p.Port)
		}
	}
	for _, e := range s.Endpoints {
		if e.Conditions.Ready != nil && !*e.Conditions.Ready {
			continue
		}
		for _, text := range e.Addresses {
			a, err := netip.ParseAddr(text)
			if err != nil {
				continue
			}
			v := endpointView{addr: a, ports: ports}
			if e.TargetRef != nil {
				v.pod = r.pods[e.TargetRef.Namespace+"/"+e.TargetRef.Name]
			}
			service.endpoints = append(service.endpoints, v)
		}
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// targets are the pod addresses behind a port of the service.
func (s *serviceView) targets(port uint16) []netip.AddrPort {
	var out []netip.AddrPort
	for _, p := range s.ports {
		if p.Port != int32(port) {
			continue
		}
		for _, e := range s.endpoints {
			if target, ok := e.ports[p.Name]; ok {
				out = append(out, netip.AddrPortFrom(e.addr, target))
			}
		}
	}
	return out
}

// port finds the name of a port number.
func (s *serviceView) port(number uint16) (name string, ok bool) {
	for _, p := range s.ports {
		if p.Port == int32(number) {
			return p.Name, true
		}
	}
	return "", false
}
