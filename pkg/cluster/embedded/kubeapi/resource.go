// SPDX-License-Identifier: Apache-2.0

package kubeapi

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// Resource is one row of the table of what a server serves.
type Resource struct {
	Group      string   // "" is core
	Versions   []string // all served from one store; the first is preferred
	Name       string   // plural, lower case: "secrets"
	Kind       string   // "Secret"
	Short      []string // kubectl's short names
	Namespaced bool
	Status     bool // has a status subresource; plain writes leave status alone
	Generation bool // metadata.generation counts changes of spec
}

// storage is the key under which every version of the resource is kept.
func (r *Resource) storage() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: r.Group, Version: r.Versions[0], Resource: r.Name}
}

func (r *Resource) gr() schema.GroupResource {
	return schema.GroupResource{Group: r.Group, Resource: r.Name}
}

func (r *Resource) gvk(version string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: r.Group, Version: version, Kind: r.Kind}
}

// typed reports whether objects are kept as Go types of k8s.io/api. The others
// (CRDs, Istio, Gateway API) are kept unstructured, as custom resources are.
func (r *Resource) typed() bool {
	return scheme.Scheme.Recognizes(r.gvk(r.Versions[0]))
}

// table is what one server serves: the builtin rows, shared, and its own.
type table struct {
	rows   []*Resource
	byName map[schema.GroupVersionResource]*Resource
	byKind map[schema.GroupVersionKind]*Resource
}

func newTable(extra []Resource) *table {
	t := &table{
		byName: map[schema.GroupVersionResource]*Resource{},
		byKind: map[schema.GroupVersionKind]*Resource{},
	}
	for _, r := range slices.Concat(builtin(), extra) {
		row := &r
		t.rows = append(t.rows, row)
		for _, v := range r.Versions {
			t.byName[schema.GroupVersionResource{Group: r.Group, Version: v, Resource: r.Name}] = row
			t.byKind[r.gvk(v)] = row
		}
	}
	return t
}

// groups returns the named groups in the order of the table, core left out.
func (t *table) groups() []string {
	var gs []string
	for _, r := range t.rows {
		if r.Group != "" && !slices.Contains(gs, r.Group) {
			gs = append(gs, r.Group)
		}
	}
	return gs
}

// versions returns the versions of a group, preferred first.
func (t *table) versions(group string) []string {
	var vs []string
	for _, r := range t.rows {
		if r.Group != group {
			continue
		}
		for _, v := range r.Versions {
			if !slices.Contains(vs, v) {
				vs = append(vs, v)
			}
		}
	}
	return vs
}

// builtin is a function, not a variable, so that nobody can change the rows of
// another server.
func builtin() []Resource {
	return slices.Concat(
		native(""), native("apps"), native("batch"), native("discovery.k8s.io"), native("coordination.k8s.io"),
		native("rbac.authorization.k8s.io"), native("admissionregistration.k8s.io"),
		native("authentication.k8s.io"), native("authorization.k8s.io"), custom())
}

// native returns the rows of one builtin group. The letters say: n namespaced,
// s status subresource, g generation.
func native(group string) []Resource {
	var rows [][4]string // plural, kind, letters, short names
	switch group {
	case "":
		rows = [][4]string{
			{"namespaces", "Namespace", "s", "ns"},
			{"secrets", "Secret", "n", ""},
			{"configmaps", "ConfigMap", "n", "cm"},
			{"services", "Service", "ns", "svc"},
			{"serviceaccounts", "ServiceAccount", "n", "sa"},
			{"pods", "Pod", "nsg", "po"},
			{"endpoints", "Endpoints", "n", "ep"},
			{"nodes", "Node", "s", "no"},
			{"events", "Event", "n", "ev"},
			{"replicationcontrollers", "ReplicationController", "nsg", "rc"},
		}
	case "apps":
		rows = [][4]string{
			{"deployments", "Deployment", "nsg", "deploy"},
			{"replicasets", "ReplicaSet", "nsg", "rs"},
			{"daemonsets", "DaemonSet", "nsg", "ds"},
			{"statefulsets", "StatefulSet", "nsg", "sts"},
		}
	case "batch":
		rows = [][4]string{{"jobs", "Job", "nsg", ""}}
	case "discovery.k8s.io":
		rows = [][4]string{{"endpointslices", "EndpointSlice", "n", ""}}
	case "coordination.k8s.io":
		rows = [][4]string{{"leases", "Lease", "n", ""}}
	case "rbac.authorization.k8s.io":
		rows = [][4]string{
			{"clusterroles", "ClusterRole", "", ""},
			{"clusterrolebindings", "ClusterRoleBinding", "", ""},
			{"roles", "Role", "n", ""},
			{"rolebindings", "RoleBinding", "n", ""},
		}
	case "admissionregistration.k8s.io":
		rows = [][4]string{
			{"mutatingwebhookconfigurations", "MutatingWebhookConfiguration", "g", ""},
			{"validatingwebhookconfigurations", "ValidatingWebhookConfiguration", "g", ""},
		}
	}
	return expand(group, []string{"v1"}, rows)
}

func custom() []Resource {
	v1 := []string{"v1"}
	networking := []string{"v1", "v1beta1", "v1alpha3"}
	return slices.Concat(
		expand("apiextensions.k8s.io", v1, [][4]string{
			{"customresourcedefinitions", "CustomResourceDefinition", "sg", "crd"},
		}),
		expand("networking.istio.io", networking, [][4]string{
			{"gateways", "Gateway", "nsg", "gw"},
			{"serviceentries", "ServiceEntry", "nsg", "se"},
			{"destinationrules", "DestinationRule", "nsg", "dr"},
			{"virtualservices", "VirtualService", "nsg", "vs"},
			{"workloadentries", "WorkloadEntry", "nsg", "we"},
			{"workloadgroups", "WorkloadGroup", "nsg", "wg"},
			{"sidecars", "Sidecar", "nsg", ""},
		}),
		expand("networking.istio.io", []string{"v1alpha3"}, [][4]string{
			{"envoyfilters", "EnvoyFilter", "nsg", ""},
		}),
		expand("security.istio.io", []string{"v1", "v1beta1"}, [][4]string{
			{"peerauthentications", "PeerAuthentication", "nsg", "pa"},
			{"authorizationpolicies", "AuthorizationPolicy", "nsg", "ap"},
			{"requestauthentications", "RequestAuthentication", "nsg", "ra"},
		}),
		expand("gateway.networking.k8s.io", []string{"v1", "v1beta1"}, [][4]string{
			{"gateways", "Gateway", "nsg", "gtw"},
			{"gatewayclasses", "GatewayClass", "sg", "gc"},
			{"httproutes", "HTTPRoute", "nsg", ""},
		}),
	)
}

func expand(group string, versions []string, rows [][4]string) []Resource {
	out := make([]Resource, 0, len(rows))
	for _, row := range rows {
		r := Resource{
			Group: group, Versions: versions, Name: row[0], Kind: row[1],
			Namespaced: strings.Contains(row[2], "n"),
			Status:     strings.Contains(row[2], "s"),
			Generation: strings.Contains(row[2], "g"),
		}
		if row[3] != "" {
			r.Short = []string{row[3]}
		}
		out = append(out, r)
	}
	return out
}
