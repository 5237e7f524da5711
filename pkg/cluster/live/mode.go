// SPDX-License-Identifier: Apache-2.0

package live

import (
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// peerPolicy is one PeerAuthentication. An empty mode inherits.
type peerPolicy struct {
	namespace string
	created   time.Time
	selector  labels.Set // nil: the whole namespace
	mode      cluster.MTLSMode
	ports     map[uint16]cluster.MTLSMode
}

func readPolicy(u unstructured.Unstructured) peerPolicy {
	p := peerPolicy{namespace: u.GetNamespace(), created: u.GetCreationTimestamp().Time, ports: map[uint16]cluster.MTLSMode{}}
	p.mode = modeAt(u.Object, "spec", "mtls", "mode")
	if match, ok, _ := unstructured.NestedStringMap(u.Object, "spec", "selector", "matchLabels"); ok {
		p.selector = match
	}
	ports, _, _ := unstructured.NestedMap(u.Object, "spec", "portLevelMtls")
	for text, v := range ports {
		number, err := strconv.ParseUint(text, 10, 16)
		if m, ok := v.(map[string]any); ok && err == nil {
			p.ports[uint16(number)] = modeAt(m, "mode")
		}
	}
	return p
}

func modeAt(o map[string]any, path ...string) cluster.MTLSMode {
	text, _, _ := unstructured.NestedString(o, path...)
	switch m := cluster.MTLSMode(text); m {
	case cluster.Strict, cluster.Permissive, cluster.Disable:
		return m
	}
	return ""
}

// mode is the mTLS mode in force for a port of a pod: the narrowest policy that
// says something wins, of two the older one, and Istio's default is PERMISSIVE
// (istio pilot/pkg/security/authn, ComposePeerAuthentication).
func (inv *inventory) mode(root string, p *corev1.Pod, port uint16) cluster.MTLSMode {
	var best [3]*peerPolicy // root namespace, namespace, workload
	for i, policy := range inv.policies {
		level := -1
		switch {
		case policy.selector != nil:
			if policy.namespace == p.Namespace && policy.selector.AsSelector().Matches(labels.Set(p.Labels)) {
				level = 2
			}
		case policy.namespace == p.Namespace:
			level = 1
		case policy.namespace == root:
			level = 0
		}
		if level >= 0 && level < len(best) && (best[level] == nil || policy.created.Before(best[level].created)) { //nolint:gosec // level is bounded right here
			best[level] = &inv.policies[i] //nolint:gosec // as above
		}
	}
	mode := cluster.Permissive
	for _, policy := range best {
		if policy != nil && policy.mode != "" {
			mode = policy.mode
		}
	}
	if narrow := best[2]; narrow != nil && narrow.ports[port] != "" {
		mode = narrow.ports[port]
	}
	return mode
}
