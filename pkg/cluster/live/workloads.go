// SPDX-License-Identifier: Apache-2.0

package live

import (
	"cmp"
	"context"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// What pods show of what captured them.
const (
	proxyContainer   = "istio-proxy"
	redirection      = "ambient.istio.io/redirection"
	templates        = "inject.istio.io/templates"
	gatewayNameLabel = "gateway.networking.k8s.io/gateway-name"
	tunnelLabel      = "networking.istio.io/tunnel"
	hashLabel        = "pod-template-hash"
)

// defaultMaxWorkloads bounds a check of somebody's large cluster.
const defaultMaxWorkloads = 50

// Workloads lists what runs in the mesh, one entry for each controller with a
// ready pod: where the topology names workloads those, in its order, else all,
// sorted, those that serve something first where there are too many. A list of
// pods, of services or of policies that is forbidden is a *cluster.DeniedError.
func (c *Cluster) Workloads(ctx context.Context) ([]cluster.Workload, error) {
	inv, err := c.inventory.get(ctx)
	if err != nil {
		return nil, err
	}
	if err := inv.need("pods", "services", "peerauthentications"); err != nil {
		return nil, err
	}
	found := c.found(inv)
	if len(c.config.Spec.Namespaces) > 0 {
		return c.chosen(inv, found), nil
	}
	var ws []cluster.Workload
	for _, p := range found {
		if w := c.workload(inv, p, nil); w.DataPlane != cluster.NoMesh {
			ws = append(ws, w)
		}
	}
	slices.SortStableFunc(ws, func(a, b cluster.Workload) int {
		return cmp.Or(boolCompare(a.Service == nil, b.Service == nil), strings.Compare(a.String(), b.String()))
	})
	ws = ws[:min(len(ws), cmp.Or(c.config.Options.MaxWorkloads, defaultMaxWorkloads))]
	slices.SortFunc(ws, func(a, b cluster.Workload) int { return strings.Compare(a.String(), b.String()) })
	return ws, nil
}

// chosen is the workloads that the topology names, as far as they run.
func (c *Cluster) chosen(inv *inventory, found map[string]*corev1.Pod) []cluster.Workload {
	var ws []cluster.Workload
	for _, ns := range c.config.Spec.Namespaces {
		for _, spec := range ns.Workloads {
			if p := found[ns.Name+"/"+spec.Name]; p != nil {
				ws = append(ws, c.workload(inv, p, &spec))
			}
		}
	}
	return ws
}

// found is one pod for each workload, by namespace/name: a ready one, the
// newest of them.
func (c *Cluster) found(inv *inventory) map[string]*corev1.Pod {
	out := map[string]*corev1.Pod{}
	for _, p := range inv.pods {
		name, lasting := owner(p)
		if !lasting || p.DeletionTimestamp != nil || p.Status.PodIP == "" || p.Namespace == c.facts.RootNamespace || isGateway(p) {
			continue
		}
		key := p.Namespace + "/" + name
		if best := out[key]; best == nil || better(p, best) {
			out[key] = p
		}
	}
	return out
}

func better(a, b *corev1.Pod) bool {
	if ready(a) != ready(b) {
		return ready(a)
	}
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return b.CreationTimestamp.Before(&a.CreationTimestamp)
	}
	return a.Name < b.Name
}

func ready(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// owner names the controller of a pod as people call it; a Job's pods come and
// go and are no workload.
func owner(p *corev1.Pod) (name string, lasting bool) {
	for _, o := range p.OwnerReferences {
		if o.Controller == nil || !*o.Controller {
			continue
		}
		if o.Kind == "Job" {
			return o.Name, false
		}
		if hash := p.Labels[hashLabel]; hash != "" {
			return strings.TrimSuffix(o.Name, "-"+hash), true
		}
		return o.Name, true
	}
	return p.Name, true
}

// isGateway says that the pod is a gateway or a waypoint: a proxy without an
// application beside it.
func isGateway(p *corev1.Pod) bool {
	if p.Labels[gatewayNameLabel] != "" || strings.Contains(p.Annotations[templates], "gateway") {
		return true
	}
	return len(p.Spec.Containers) == 1 && p.Spec.Containers[0].Name == proxyContainer
}

// hasSidecar says that a proxy runs beside the application, also as a native
// sidecar.
func hasSidecar(p *corev1.Pod) bool {
	if slices.ContainsFunc(p.Spec.InitContainers, func(c corev1.Container) bool {
		return c.Name == proxyContainer && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
	}) {
		return true
	}
	return len(p.Spec.Containers) > 1 &&
		slices.ContainsFunc(p.Spec.Containers, func(c corev1.Container) bool { return c.Name == proxyContainer })
}

// workload describes a pod. spec, which may be nil, is what the topology says:
// it chooses the service, and lets an HBONE-capable sidecar stand for ambient.
func (c *Cluster) workload(inv *inventory, p *corev1.Pod, spec *cluster.WorkloadSpec) cluster.Workload {
	name, _ := owner(p)
	w := cluster.Workload{
		Ref:            cluster.Ref{Cluster: c.facts.Name, Namespace: p.Namespace, Name: name},
		ServiceAccount: cmp.Or(p.Spec.ServiceAccountName, "default"), DataPlane: cluster.NoMesh, Network: c.facts.Network,
	}
	w.Address, _ = netip.ParseAddr(p.Status.PodIP)
	switch {
	case hasSidecar(p):
		w.DataPlane, w.Proxy, w.HBONE = cluster.Sidecar, cluster.ProxyEnvoy, p.Labels[tunnelLabel] == "http"
	case p.Annotations[redirection] == "enabled":
		w.DataPlane, w.Proxy = cluster.Ambient, cluster.ProxyZtunnel
	case p.Labels[tunnelLabel] == "http":
		// An HBONE endpoint of its own, such as meshprobe's agent.
		w.DataPlane, w.Proxy = cluster.Ambient, cluster.ProxyGo
	}
	if spec != nil && spec.DataPlane == cluster.Ambient && w.HBONE {
		w.DataPlane, w.HBONE = cluster.Ambient, false
	}
	var wanted *cluster.ServiceSpec
	if spec != nil {
		wanted = spec.Service
	}
	if spec == nil || wanted != nil {
		w.Service = inv.serviceOf(p, wanted)
	}
	var port uint16
	if w.Service != nil {
		port = w.Service.PodPort()
	}
	w.MTLS = inv.mode(c.facts.RootNamespace, p, port)
	return w
}

// serviceOf is a service in front of a pod: the wanted one, else the first by
// name, those that are shared between clusters first.
func (inv *inventory) serviceOf(p *corev1.Pod, wanted *cluster.ServiceSpec) *cluster.Service {
	var best *corev1.Service
	for _, key := range slices.Sorted(maps.Keys(inv.services)) {
		s := inv.services[key]
		if s.Namespace != p.Namespace || len(s.Spec.Selector) == 0 || !labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(p.Labels)) {
			continue
		}
		if wanted != nil && s.Name != wanted.Name {
			continue
		}
		if best == nil || inv.global(s) && !inv.global(best) {
			best = s
		}
	}
	if best == nil {
		return nil
	}
	for _, port := range best.Spec.Ports {
		if !overTCP(port) || wanted != nil && int32(wanted.Port) != port.Port {
			continue
		}
		return &cluster.Service{
			Name: best.Name, Host: hostOf(best.Namespace, best.Name), Port: uint16(port.Port), //nolint:gosec // the API bounds ports
			Target: targetPort(p, port), Protocol: protocol(port),
		}
	}
	return nil
}

func overTCP(p corev1.ServicePort) bool { return p.Protocol == "" || p.Protocol == corev1.ProtocolTCP }

func hostOf(namespace, name string) string { return name + "." + namespace + ".svc.cluster.local" }

// targetPort is the pod's port behind a service's, 0 where they are one.
func targetPort(p *corev1.Pod, port corev1.ServicePort) uint16 {
	target := port.TargetPort.IntValue()
	if name := port.TargetPort.StrVal; name != "" && target == 0 {
		for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
			for _, cp := range c.Ports {
				if cp.Name == name {
					target = int(cp.ContainerPort)
				}
			}
		}
	}
	if target == int(port.Port) || target < 0 || target > math.MaxUint16 {
		return 0
	}
	return uint16(target)
}

// protocol is how Istio reads a port: appProtocol, else the first part of its
// name (istio pkg/config/kube, ConvertProtocol).
func protocol(port corev1.ServicePort) string {
	declared := port.Name
	if port.AppProtocol != nil {
		declared = strings.TrimPrefix(*port.AppProtocol, "kubernetes.io/")
	}
	first, _, _ := strings.Cut(strings.ToLower(declared), "-")
	switch first {
	case "http", "http2", "h2c", "grpc":
		return "http"
	case "tcp", "tls", "https", "mongo", "mysql", "redis":
		return "tcp"
	}
	return "auto"
}

// global says that the service is shared between the clusters of an ambient
// mesh.
func (inv *inventory) global(s *corev1.Service) bool {
	const label = "istio.io/global"
	return s.Labels[label] == "true" || inv.namespaces[s.Namespace][label] == "true"
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
