// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// rollable is a Deployment, DaemonSet or StatefulSet with the labels that
// decide what it is to the mesh.
type rollable struct {
	kind        kind
	object      *unstructured.Unstructured
	labels      map[string]string // of the pod template
	annotations map[string]string // of the pod template
	namespace   map[string]string // labels of the namespace
}

func (r rollable) String() string {
	return fmt.Sprintf("%s/%s %s", r.object.GetNamespace(), r.kind, r.object.GetName())
}

// class picks rollables: those of a control plane, gateways, the rest of the
// mesh.
type class func(m *member, r rollable) bool

// isIstiod picks every revision of istiod.
func isIstiod(m *member, r rollable) bool {
	return r.kind == deployments && r.object.GetNamespace() == m.ns && (r.labels["app"] == "istiod" || r.object.GetLabels()["app"] == "istiod")
}

// isGateway picks gateways by how they are made: the gateway chart's label,
// the injection template, or a Gateway of the Gateway API (waypoints too).
func isGateway(_ *member, r rollable) bool {
	if strings.HasSuffix(r.labels["istio"], "gateway") || r.labels["gateway.networking.k8s.io/gateway-name"] != "" || r.labels["gateway.istio.io/managed"] != "" {
		return true
	}
	return slices.Contains(strings.Split(r.annotations["inject.istio.io/templates"], ","), "gateway")
}

// isMeshed picks what holds certificates of workloads: pods with a sidecar, those
// that speak HBONE themselves, and ztunnel for the rest.
func isMeshed(m *member, r rollable) bool {
	if isIstiod(m, r) || isGateway(m, r) {
		return false
	}
	if r.labels["app"] == "ztunnel" || r.labels["networking.istio.io/tunnel"] == "http" {
		return true
	}
	inject := r.labels["sidecar.istio.io/inject"]
	if inject == "" {
		inject = r.annotations["sidecar.istio.io/inject"]
	}
	switch {
	case inject != "":
		return inject == "true"
	case r.namespace["istio-injection"] != "":
		return r.namespace["istio-injection"] == "enabled"
	}
	return r.namespace["istio.io/rev"] != "" || r.labels["istio.io/rev"] != ""
}

// rollables lists those of a class, in a stable order.
func (m *member) rollables(ctx context.Context, pick class) ([]rollable, error) {
	ns, err := m.list(ctx, namespaces, "", "")
	if err != nil {
		return nil, err
	}
	byName := map[string]map[string]string{}
	for _, n := range ns {
		byName[n.GetName()] = n.GetLabels()
	}
	var out []rollable
	for _, k := range []kind{deployments, daemonSets, statefulSets} {
		items, err := m.list(ctx, k, "", "")
		if err != nil {
			return nil, err
		}
		for i := range items {
			r := rollable{kind: k, object: &items[i], namespace: byName[items[i].GetNamespace()]}
			r.labels, _, _ = unstructured.NestedStringMap(items[i].Object, "spec", "template", "metadata", "labels")           // none
			r.annotations, _, _ = unstructured.NestedStringMap(items[i].Object, "spec", "template", "metadata", "annotations") // none
			if pick(m, r) {
				out = append(out, r)
			}
		}
	}
	return out, nil
}

// rolledOut says what is missing until a rollout is complete, as kubectl
// rollout status judges it; "" is nothing.
func rolledOut(k kind, o *unstructured.Unstructured) string {
	n := func(path ...string) int64 {
		v, _, _ := unstructured.NestedInt64(o.Object, path...) // absent is 0
		return v
	}
	if n("status", "observedGeneration") < o.GetGeneration() {
		return "the change is not seen yet"
	}
	switch k {
	case daemonSets:
		want := n("status", "desiredNumberScheduled")
		return short("updated", n("status", "updatedNumberScheduled"), want, short("available", n("status", "numberAvailable"), want, ""))
	case statefulSets:
		want := replicas(o)
		return short("updated", n("status", "updatedReplicas"), want, short("ready", n("status", "readyReplicas"), want, ""))
	default:
		want, updated, total := replicas(o), n("status", "updatedReplicas"), n("status", "replicas")
		if total > updated && updated >= want {
			return fmt.Sprintf("%d old pods are still there", total-updated)
		}
		return short("updated", updated, want, short("available", n("status", "availableReplicas"), updated, ""))
	}
}

// stuck reports whether a Deployment gave up on its present template.
func stuck(o *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions") // none
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == "Progressing" && c["reason"] == "ProgressDeadlineExceeded" {
			seen, _, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration") // absent is 0
			return seen >= o.GetGeneration()
		}
	}
	return false
}

func replicas(o *unstructured.Unstructured) int64 {
	if v, ok, err := unstructured.NestedInt64(o.Object, "spec", "replicas"); ok && err == nil {
		return v
	}
	return 1
}

func short(what string, have, want int64, otherwise string) string {
	if have < want {
		return fmt.Sprintf("%d of %d pods %s", have, want, what)
	}
	return otherwise
}
