// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded"
)

const system = "istio-system"

// victim is the cluster that a fault hits, with the rest of its mesh.
type victim struct {
	cluster.Cluster
	set  *cluster.Set
	kube kubernetes.Interface
	dyn  dynamic.Interface
	lab  embedded.Lab // nil where the cluster is a real one
}

func newVictim(set *cluster.Set, name string) (*victim, error) {
	c, ok := set.Cluster(name)
	if !ok {
		return nil, fmt.Errorf("no cluster %s", name)
	}
	kube, isKube := cluster.As[cluster.Kube](c)
	if !isKube {
		return nil, errors.New("the provider gives no access to the Kubernetes API")
	}
	lab, _ := cluster.As[embedded.Lab](c)
	return &victim{Cluster: c, set: set, kube: kube.Kubernetes(), dyn: kube.Dynamic(), lab: lab}, nil
}

// shiftClock sets the clock of the cluster's processes off, where it can be. Real
// clusters have the right time, and take long enough over everything.
func (v *victim) shiftClock(d time.Duration) {
	if v.lab != nil {
		v.lab.ShiftClock(d)
	}
}

// others are the rest of the mesh, broken or not.
func (v *victim) others() ([]*victim, error) {
	var out []*victim
	for _, c := range v.set.Clusters {
		if c.Name() == v.Name() {
			continue
		}
		o, err := newVictim(v.set, c.Name())
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// served finds the namespace and the workload behind the first service of the
// cluster that another cluster calls over a data plane.
func (v *victim) served(dp cluster.DataPlane) (namespace string, w cluster.WorkloadSpec, err error) {
	spec, _ := v.set.Topology.Spec(v.Name())
	for e := range v.set.Edges() {
		if e.To.Cluster != v.Name() || e.DataPlane != dp {
			continue
		}
		for _, ns := range spec.Namespaces {
			for _, w := range ns.Workloads {
				if ns.Name == e.To.Namespace && w.Service != nil && w.Service.Name == e.To.Name && w.DataPlane == dp {
					return ns.Name, w, nil
				}
			}
		}
	}
	return "", w, fmt.Errorf("no call of the topology leads to a %s workload there", dp)
}

// neighbour finds another workload of the namespace with an account of its own.
func (v *victim) neighbour(namespace string, of cluster.WorkloadSpec) (cluster.WorkloadSpec, error) {
	spec, _ := v.set.Topology.Spec(v.Name())
	for _, ns := range spec.Namespaces {
		for _, w := range ns.Workloads {
			if ns.Name == namespace && w.ServiceAccount != of.ServiceAccount {
				return w, nil
			}
		}
	}
	return cluster.WorkloadSpec{}, fmt.Errorf("namespace %s has no other service account", namespace)
}

// patch is kubectl patch --type=merge on a custom resource.
func (v *victim) patch(ctx context.Context, r resource, namespace, name, text string) error {
	_, err := v.dyn.Resource(r).Namespace(namespace).Patch(ctx, name, types.MergePatchType, []byte(text), metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("patch %s %s/%s: %w", r.Resource, namespace, name, err)
	}
	return nil
}
