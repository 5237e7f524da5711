// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// entries makes the ServiceEntries SVC.NS.CLUSTER that a cluster needs: one for
// each service of another cluster that an edge of its sidecars calls, with the
// other's east-west gateway as endpoint (Gloo Mesh's federation shape).
func (m *member) entries(ctx context.Context) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	seen := map[cluster.Ref]bool{}
	for e := range m.f.set.Edges() {
		if e.From.Cluster != m.name || e.To.Cluster == m.name || e.DataPlane != cluster.Sidecar || seen[e.To] {
			continue
		}
		seen[e.To] = true
		entry, err := m.f.entry(ctx, e.To, m.ns)
		if err != nil {
			return nil, err
		}
		out = append(out, entry)
	}
	return out, nil
}

// entry makes one of them, from the Service and the gateway as they are.
func (f *federation) entry(ctx context.Context, to cluster.Ref, namespace string) (*unstructured.Unstructured, error) {
	for _, m := range f.members {
		if m.name != to.Cluster {
			continue
		}
		svc, err := m.get(ctx, services, to.Namespace, to.Name)
		if err != nil {
			return nil, err
		}
		if svc == nil {
			return nil, fmt.Errorf("there is no service %s", to)
		}
		addresses, err := m.gatewayAddresses(ctx)
		if err != nil {
			return nil, err
		}
		entry := newEntry(to, namespace, ports(svc), addresses, f.identities(to))
		return entry, unstructured.SetNestedField(entry.Object, f.labels(), "metadata", "labels")
	}
	return nil, fmt.Errorf("there is no cluster %s", to.Cluster)
}

// identities are the SPIFFE IDs of the workloads behind a service, as the
// topology has them: whom a caller may expect there.
func (f *federation) identities(to cluster.Ref) []any {
	spec, _ := f.set.Topology.Spec(to.Cluster)
	var out []any
	for _, ns := range spec.Namespaces {
		for _, w := range ns.Workloads {
			if ns.Name != to.Namespace || w.Service == nil || w.Service.Name != to.Name {
				continue
			}
			if id := cluster.SPIFFEID(spec.TrustDomain, ns.Name, w.ServiceAccount); !slices.Contains(out, any(id)) {
				out = append(out, id)
			}
		}
	}
	return out
}

func newEntry(to cluster.Ref, namespace string, ports []any, addresses []string, identities []any) *unstructured.Unstructured {
	host := to.Name + "." + to.Namespace + "." + to.Cluster
	toGateway := map[string]any{}
	for _, p := range ports {
		if name, ok := p.(map[string]any)["name"].(string); ok {
			toGateway[name] = int64(cluster.PortPassthrough)
		}
	}
	var endpoints []any
	for _, a := range addresses {
		endpoints = append(endpoints, map[string]any{"address": a, "ports": toGateway})
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
		"metadata": map[string]any{"namespace": namespace, "name": host},
		"spec": map[string]any{
			"hosts": []any{host}, "location": "MESH_INTERNAL", "resolution": "DNS",
			"ports": ports, "endpoints": endpoints, "subjectAltNames": identities,
		},
	}}
}

// ports are those of a Service, each with a name and a protocol.
func ports(svc *unstructured.Unstructured) []any {
	list, _, _ := unstructured.NestedSlice(svc.Object, "spec", "ports") // none
	var out []any
	for _, p := range list {
		port, ok := p.(map[string]any)
		if !ok {
			continue
		}
		number, _, _ := unstructured.NestedInt64(port, "port") // absent is 0
		name, _, _ := unstructured.NestedString(port, "name")  // absent is none
		if number == 0 {
			continue
		}
		protocol := "TCP"
		if name == "http" {
			protocol = "HTTP"
		}
		if name == "" {
			name = fmt.Sprintf("tcp-%d", number)
		}
		out = append(out, map[string]any{"number": number, "name": name, "protocol": protocol})
	}
	return out
}

// gatewayAddresses are where other networks reach the sidecar east-west
// gateway.
func (m *member) gatewayAddresses(ctx context.Context) ([]string, error) {
	svcs, err := m.list(ctx, services, "", "")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, s := range svcs {
		selector, _, _ := unstructured.NestedStringMap(s.Object, "spec", "selector") // none
		if selector[eastWestLabel] != eastWestValue {
			continue
		}
		out = append(out, external(&s)...)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("the east-west gateway of %s has no external address", m.name)
	}
	return out, nil
}

func planServiceEntries(ctx context.Context, m *member) ([]Change, error) {
	wanted, err := m.entries(ctx)
	if err != nil {
		return nil, err
	}
	var out []Change
	for _, want := range wanted {
		have, err := m.get(ctx, serviceEntries, m.ns, want.GetName())
		if err != nil {
			return nil, err
		}
		c := Change{Op: "+", Object: m.ns + "/serviceentry " + want.GetName(), Text: "by the gateway of the other network"}
		if have != nil {
			c.Op = "~"
		}
		if have == nil || !satisfies(have, want) {
			out = append(out, c)
		}
	}
	return out, nil
}

func applyServiceEntries(ctx context.Context, m *member) error {
	wanted, err := m.entries(ctx)
	for _, want := range wanted {
		err = errors.Join(err, m.put(ctx, serviceEntries, want))
	}
	return err
}

func undoServiceEntries(ctx context.Context, m *member) error {
	names, err := m.written(ctx, serviceEntries, "")
	for _, name := range names {
		err = errors.Join(err, m.restore(ctx, serviceEntries, m.ns, name))
	}
	return err
}
