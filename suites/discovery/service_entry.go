// SPDX-License-Identifier: Apache-2.0

package discovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// ServiceEntry checks the federated hosts that Gloo Mesh writes: SVC.NS.CLUSTER
// inside the mesh, each endpoint an east-west gateway on 15443.
var ServiceEntry = probe.Define(probe.Meta{
	ID:      "discovery/service-entry",
	Title:   "federated service entries are SVC.NS.CLUSTER, at a gateway",
	About:   "ServiceEntries whose hosts end in the name of another cluster (Gloo Mesh, Service Mesh Hub) are MESH_INTERNAL, name service, namespace and cluster, and map every port to 15443 of a gateway.",
	Clause:  spec.IstioServiceEntryHost,
	Causes:  []probe.Cause{causeEntryShape},
	Applies: "clusters",
}, probe.Clusters, observeServiceEntries, judgeServiceEntries)

var causeEntryShape = probe.Cause{
	Code: "service-entry-shape", Title: "a federated service entry does not lead to the other cluster's gateway",
	Try: []string{"kubectl --context {{.Cluster}} -n istio-system get serviceentries.networking.istio.io {{.Entry}} -o yaml   # compare host, location, endpoints and ports"},
}

// entriesSeen is the federated ServiceEntries of a cluster.
type entriesSeen struct {
	Cluster string   `json:"cluster"`
	Others  []string `json:"others"` // names of the other clusters
	Entries []entry  `json:"entries"`
}

type entry struct {
	Name      string   `json:"name"`
	Hosts     []string `json:"hosts"`
	Location  string   `json:"location"`
	Endpoints []string `json:"endpoints"` // address, then each port: "192.0.2.1 http=15443"
}

var serviceEntries = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "serviceentries"}

func observeServiceEntries(ctx context.Context, env *probe.Env, c probe.ClusterSubject) (entriesSeen, error) {
	o := entriesSeen{Cluster: c.Name()}
	for _, other := range env.Set.Clusters {
		if other.Name() != c.Name() {
			o.Others = append(o.Others, other.Name())
		}
	}
	k, ok := cluster.As[cluster.Kube](c.Cluster)
	if !ok {
		return o, seen.ErrNoKube
	}
	root := cluster.ControlPlaneOf(c.Cluster).Namespace()
	list, err := k.Dynamic().Resource(serviceEntries).Namespace(root).List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) {
		return o, nil // no such resource: Istio's definitions are not installed
	}
	if err != nil {
		return o, seen.APIError(err, "list", "serviceentries in "+root)
	}
	for _, item := range list.Items {
		e, err := readEntry(item)
		if err != nil {
			return o, err
		}
		if o.federated(e) {
			o.Entries = append(o.Entries, e)
		}
	}
	return o, nil
}

// federated says whether an entry is about another cluster.
func (o entriesSeen) federated(e entry) bool {
	return slices.ContainsFunc(e.Hosts, func(h string) bool {
		return slices.ContainsFunc(o.Others, func(c string) bool { return strings.HasSuffix(h, "."+c) })
	})
}

func readEntry(u unstructured.Unstructured) (entry, error) {
	e := entry{Name: u.GetName()}
	hosts, _, err1 := unstructured.NestedStringSlice(u.Object, "spec", "hosts")
	location, _, err2 := unstructured.NestedString(u.Object, "spec", "location")
	endpoints, _, err3 := unstructured.NestedSlice(u.Object, "spec", "endpoints")
	if err := errors.Join(err1, err2, err3); err != nil {
		return e, fmt.Errorf("service entry %s: %w", e.Name, err)
	}
	e.Hosts, e.Location = hosts, location
	for _, raw := range endpoints {
		m, _ := raw.(map[string]any)
		address, _, _ := unstructured.NestedString(m, "address")
		ports, _, _ := unstructured.NestedMap(m, "ports")
		line := []string{address}
		for name, port := range ports {
			line = append(line, fmt.Sprintf("%s=%v", name, port))
		}
		slices.Sort(line[1:])
		e.Endpoints = append(e.Endpoints, strings.Join(line, " "))
	}
	return e, nil
}

var endpointShape = regexp.MustCompile(`^\S+( \S+=15443)+$`)

func judgeServiceEntries(o entriesSeen) []probe.Finding {
	if len(o.Entries) == 0 {
		return []probe.Finding{probe.Skipping("the topology uses no federated service entries")}
	}
	var hosts []string
	for _, e := range o.Entries {
		if problem := o.problem(e); problem != "" {
			return []probe.Finding{probe.Failing(causeEntryShape,
				probe.WantGot("ServiceEntry "+e.Name+" in "+o.Cluster, "SVC.NS.CLUSTER, MESH_INTERNAL, every port mapped to 15443 of a gateway", problem).As(probe.KindObject),
			).With("Entry", e.Name)}
		}
		hosts = append(hosts, e.Hosts...)
	}
	return []probe.Finding{probe.Passing(probe.Text("federated hosts", hosts...).As(probe.KindObject))}
}

func (o entriesSeen) problem(e entry) string {
	for _, h := range e.Hosts {
		if parts := strings.Split(h, "."); len(parts) != 3 || !slices.Contains(o.Others, parts[2]) {
			return "host " + h
		}
	}
	if e.Location != "MESH_INTERNAL" {
		return "location " + cmp.Or(e.Location, "MESH_EXTERNAL (the default)")
	}
	if len(e.Endpoints) == 0 {
		return "no endpoint"
	}
	for _, ep := range e.Endpoints {
		if !endpointShape.MatchString(ep) {
			return "endpoint " + ep
		}
	}
	return ""
}
