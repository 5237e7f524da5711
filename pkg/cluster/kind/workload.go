// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Labels by which Istio and meshprobe know workloads; the same as those of the
// embedded provider.
const (
	workloadLabel  = "app.kubernetes.io/name"
	injectionLabel = "istio-injection"
	injectLabel    = "sidecar.istio.io/inject"
	modeLabel      = "istio.io/dataplane-mode"
	tunnelLabel    = "networking.istio.io/tunnel"
	useWaypoint    = "istio.io/use-waypoint"
)

// plane is what carries a workload here.
type plane struct {
	sidecar bool // has an Envoy
	tunnel  bool // which takes HBONE besides
	hbone   bool // speaks HBONE itself
	ambient bool // is a ztunnel's
}

// planeFor is what carries a workload.
func planeFor(w cluster.WorkloadSpec, ztunnel bool) plane {
	p := planeOf(w.DataPlane, ztunnel)
	p.tunnel = p.sidecar && w.HBONE
	return p
}

// planeOf maps the data planes of a topology to what the installation has: in a
// mesh without ztunnel, a pod that speaks HBONE itself stands in for ambient.
// (A sidecar does not: Envoy answers 503 to a CONNECT that names a service, as
// the inner one of double HBONE does.)
func planeOf(dp cluster.DataPlane, ztunnel bool) plane {
	switch {
	case dp == cluster.Sidecar:
		return plane{sidecar: true}
	case dp == cluster.Ambient && ztunnel:
		return plane{ambient: true}
	case dp == cluster.Ambient:
		return plane{hbone: true}
	}
	return plane{}
}

// workloads is everything that a topology asks for in one cluster.
func workloads(spec cluster.ClusterSpec, image string, ztunnel bool) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, ns := range spec.Namespaces {
		out = append(out, namespaceObjects(ns, ztunnel)...)
		services := map[string]bool{}
		for _, w := range ns.Workloads {
			if s := w.Service; s != nil && !services[s.Name] {
				services[s.Name] = true
				out = append(out, service(ns.Name, *s))
			}
		}
		for _, name := range ns.Waypoints() {
			out = append(out, waypoint(ns.Name, name))
		}
		for _, w := range ns.Workloads {
			out = append(out, deployment(spec, ns, w, services, image, ztunnel))
		}
	}
	return out
}

// namespaceObjects are a namespace, its service accounts and what its peers must
// show.
func namespaceObjects(ns cluster.NamespaceSpec, ztunnel bool) []*unstructured.Unstructured {
	labels := map[string]string{}
	switch p := planeOf(namespacePlane(ns), ztunnel); {
	case p.sidecar:
		labels[injectionLabel] = "enabled"
	case p.ambient:
		labels[modeLabel] = "ambient"
	}
	if ns.Waypoint != "" {
		labels[useWaypoint] = ns.Waypoint
	}
	out := []*unstructured.Unstructured{
		object("v1", "Namespace", "", ns.Name, labels, nil),
		peerAuthentication(ns.Name, "default", nil, ns.MTLS),
	}
	seen := map[string]bool{"default": true}
	for _, w := range ns.Workloads {
		if !seen[w.ServiceAccount] {
			seen[w.ServiceAccount] = true
			out = append(out, object("v1", "ServiceAccount", ns.Name, w.ServiceAccount, nil, nil))
		}
		if w.MTLS != ns.MTLS {
			out = append(out, peerAuthentication(ns.Name, w.Name, obj{workloadLabel: w.Name}, w.MTLS))
		}
	}
	return out
}

// namespacePlane is that of the first workload in the mesh; those that deviate
// say so on their pods.
func namespacePlane(ns cluster.NamespaceSpec) cluster.DataPlane {
	for _, w := range ns.Workloads {
		if w.DataPlane != cluster.NoMesh {
			return w.DataPlane
		}
	}
	return cluster.NoMesh
}

func peerAuthentication(namespace, name string, selector obj, mode cluster.MTLSMode) *unstructured.Unstructured {
	spec := obj{"mtls": obj{"mode": string(mode)}}
	if selector != nil {
		spec["selector"] = obj{"matchLabels": selector}
	}
	return object("security.istio.io/v1", "PeerAuthentication", namespace, name, nil, obj{"spec": spec})
}

// service is one that all clusters share. With multi-network ambient that takes
// the label also for sidecars (istio pilot/pkg/xds/endpoints, since 1.29): without
// it istiod hands out the endpoints of the caller's own cluster only.
func service(namespace string, s cluster.ServiceSpec) *unstructured.Unstructured {
	labels := map[string]string{"app": s.Name, "service": s.Name, labelGlobal: "true"}
	if s.Waypoint != "" {
		labels[useWaypoint] = s.Waypoint
	}
	port := obj{"port": int64(s.Port), "targetPort": int64(s.Port), "protocol": "TCP"}
	if s.Protocol != "auto" {
		port["name"] = s.Protocol
	}
	return object("v1", "Service", namespace, s.Name, labels, obj{"spec": obj{"selector": obj{"app": s.Name}, "ports": []any{port}}})
}

func deployment(spec cluster.ClusterSpec, ns cluster.NamespaceSpec, w cluster.WorkloadSpec, services map[string]bool, image string, ztunnel bool) *unstructured.Unstructured {
	labels := map[string]string{workloadLabel: w.Name, "app": w.Name}
	switch {
	case w.Service != nil:
		labels["app"] = w.Service.Name
	case services[w.Name]:
		labels["app"] = w.Name + "-client" // not behind the service of that name
	}
	if i := strings.LastIndex(w.Name, "-v"); i > 0 {
		labels["version"] = w.Name[i+1:]
	}
	pod := obj{}
	for k, v := range labels {
		pod[k] = v
	}
	maps.Copy(pod, podLabels(ns, w, ztunnel))
	return object("apps/v1", "Deployment", ns.Name, w.Name, labels, obj{"spec": obj{
		"replicas": int64(1),
		"selector": obj{"matchLabels": obj{workloadLabel: w.Name}},
		"template": obj{
			"metadata": obj{"labels": pod, "annotations": proxyConfig(planeFor(w, ztunnel))},
			"spec":     podSpec(spec.Name, spec.TrustDomain, ns.Name, w, planeFor(w, ztunnel), image),
		},
	}})
}

// podLabels say where a pod deviates from its namespace, and how it is called.
func podLabels(ns cluster.NamespaceSpec, w cluster.WorkloadSpec, ztunnel bool) obj {
	own, others := planeFor(w, ztunnel), planeOf(namespacePlane(ns), ztunnel)
	out := obj{}
	if own.sidecar != others.sidecar {
		out[injectLabel] = strconv.FormatBool(own.sidecar)
	}
	if own.ambient != others.ambient {
		out[modeLabel] = map[bool]string{true: "ambient", false: "none"}[own.ambient]
	}
	if own.hbone || own.tunnel {
		out[tunnelLabel] = "http"
	}
	return out
}

// proxyConfig says whether a sidecar speaks HBONE, whatever the mesh
// configuration says: callers of one that does not use mTLS on its own port.
func proxyConfig(p plane) obj {
	if !p.sidecar {
		return obj{}
	}
	return obj{"proxy.istio.io/config": fmt.Sprintf("proxyMetadata:\n  ISTIO_META_ENABLE_HBONE: %q\n", strconv.FormatBool(p.tunnel))}
}

// podSpec is what a workload runs: a program that answers with its name.
func podSpec(member, trustDomain, namespace string, w cluster.WorkloadSpec, p plane, image string) obj {
	args := []any{"app", "--name", member + "/" + namespace + "/" + w.Name}
	if w.Service != nil && !p.hbone {
		args = append(args, "--listen", ":"+strconv.Itoa(int(w.Service.Port)))
	}
	c := container(args, image)
	if w.Service != nil {
		c["ports"] = []any{obj{"containerPort": int64(w.Service.Port)}}
	}
	spec := obj{
		"serviceAccountName": w.ServiceAccount, "terminationGracePeriodSeconds": int64(1),
		"containers": []any{c},
	}
	if p.hbone {
		standIn(spec, c, args, trustDomain, namespace, w)
	}
	return spec
}

// standIn gives a pod what a ztunnel would have for it: who it is, and what
// istiod asks for before it certifies that.
func standIn(spec, c obj, args []any, trustDomain, namespace string, w cluster.WorkloadSpec) {
	args = append(args, "--ambient", "$(POD_IP)", "--mtls", string(w.MTLS), "--service-account", w.ServiceAccount, "--trust-domain", trustDomain)
	if s := w.Service; s != nil {
		args = append(args, "--service", s.Host(namespace)+":"+strconv.Itoa(int(s.Port)))
	}
	c["args"] = args
	c["env"] = []any{obj{"name": "POD_IP", "valueFrom": obj{"fieldRef": obj{"fieldPath": "status.podIP"}}}}
	c["volumeMounts"] = []any{
		obj{"name": "istio-token", "mountPath": "/var/run/secrets/tokens", "readOnly": true},
		obj{"name": "istiod-ca-cert", "mountPath": "/var/run/secrets/istio", "readOnly": true},
	}
	c["readinessProbe"] = obj{"tcpSocket": obj{"port": int64(cluster.PortHBONE)}, "periodSeconds": int64(1)}
	spec["securityContext"] = obj{"fsGroup": int64(65534)} // the token is readable to its owner only
	spec["volumes"] = []any{
		obj{"name": "istio-token", "projected": obj{"sources": []any{obj{"serviceAccountToken": obj{
			"audience": "istio-ca", "expirationSeconds": int64(43200), "path": "istio-token",
		}}}}},
		obj{"name": "istiod-ca-cert", "configMap": obj{"name": "istio-ca-root-cert"}},
	}
}

// container runs meshprobe with no rights at all.
func container(args []any, image string) obj {
	return obj{
		"name": "app", "image": image, "imagePullPolicy": "IfNotPresent",
		"command": []any{program}, "args": args,
		"resources": obj{"requests": obj{"cpu": "5m", "memory": "16Mi"}},
		"securityContext": obj{
			"runAsNonRoot": true, "runAsUser": int64(65534), "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
			"capabilities": obj{"drop": []any{"ALL"}}, "seccompProfile": obj{"type": "RuntimeDefault"},
		},
	}
}

func lower(s string) string { return strings.ToLower(s) }
