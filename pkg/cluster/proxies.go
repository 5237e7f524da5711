// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Waypoints names the waypoints of a namespace, sorted: its own and those of its
// services.
func (ns NamespaceSpec) Waypoints() []string {
	var names []string
	if ns.Waypoint != "" {
		names = append(names, ns.Waypoint)
	}
	for _, w := range ns.Workloads {
		if w.Service != nil && w.Service.Waypoint != "" {
			names = append(names, w.Service.Waypoint)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// checkProxies refuses proxies that there cannot be.
func (ns NamespaceSpec) checkProxies(where string, line int) error {
	taken := map[string]bool{} // names of Deployments, Services and ServiceAccounts
	for _, w := range ns.Workloads {
		if w.HBONE && w.DataPlane != Sidecar {
			hint := "leave hbone out, or write dataPlane: sidecar"
			if w.DataPlane == Ambient {
				hint = "leave hbone out: ambient takes HBONE always"
			}
			return &TopologyError{Line: line, Msg: fmt.Sprintf("%s/%s: hbone is for sidecars, dataPlane is %s", where, w.Name, w.DataPlane), Hint: hint}
		}
		taken[w.Name], taken[w.ServiceAccount] = true, true
		if w.Service != nil {
			taken[w.Service.Name] = true
		}
	}
	for _, name := range ns.Waypoints() {
		if problems := validation.IsDNS1035Label(name); len(problems) > 0 {
			return &TopologyError{Line: line, Msg: fmt.Sprintf("%s: waypoint %q: %s", where, name, problems[0]), Hint: "for example: waypoint: waypoint"}
		}
		if taken[name] {
			return &TopologyError{Line: line, Msg: fmt.Sprintf("%s: the waypoint %q has the name of a workload, a service or a service account", where, name), Hint: "for example: waypoint: waypoint"}
		}
	}
	return nil
}
