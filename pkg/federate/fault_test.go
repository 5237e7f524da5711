// SPDX-License-Identifier: Apache-2.0

package federate_test

import (
	"context"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// faults decide over every write to the API of every cluster.
type faults struct {
	mu     sync.Mutex
	writes []string // those that were let through: VERB CLUSTER RESOURCE/NAME

	// before may fail a write; n counts the writes that were asked for.
	before func(n int, what string) error
	// after may lose the answer of a write that was made.
	after func(n int, what string) error
	asked int
}

func (f *faults) do(what string, write func() error) error {
	f.mu.Lock()
	f.asked++
	n := f.asked
	var err error
	if f.before != nil {
		err = f.before(n, what)
	}
	if err == nil {
		f.writes = append(f.writes, what)
	}
	f.mu.Unlock()
	if err != nil {
		return err
	}
	if err := write(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.after != nil {
		return f.after(n, what)
	}
	return nil
}

// wrap is a set whose writes go through the faults.
func (f *faults) wrap(set *cluster.Set) *cluster.Set {
	var out []cluster.Cluster
	for _, c := range set.Clusters {
		out = append(out, faultyCluster{c, f})
	}
	return cluster.NewSet(set.Provider, set.Topology, out, nil)
}

type faultyCluster struct {
	cluster.Cluster
	f *faults
}

func (c faultyCluster) Unwrap() cluster.Cluster { return c.Cluster }

func (c faultyCluster) kube() cluster.Kube {
	k, _ := cluster.As[cluster.Kube](c.Cluster)
	return k
}

func (c faultyCluster) Kubernetes() kubernetes.Interface { return c.kube().Kubernetes() }
func (c faultyCluster) APIServer() cluster.APIServer     { return c.kube().APIServer() }
func (c faultyCluster) Dynamic() dynamic.Interface {
	return faultyDynamic{c.kube().Dynamic(), c.f, c.Name()}
}

type faultyDynamic struct {
	dynamic.Interface
	f    *faults
	name string
}

func (d faultyDynamic) Resource(r schema.GroupVersionResource) dynamic.NamespaceableResourceInterface {
	n := d.Interface.Resource(r)
	return faultyNamespaceable{faultyResource{n, d.f, d.name + " " + r.Resource}, n}
}

type faultyNamespaceable struct {
	faultyResource
	inner dynamic.NamespaceableResourceInterface
}

func (n faultyNamespaceable) Namespace(ns string) dynamic.ResourceInterface {
	r := n.faultyResource
	r.ResourceInterface = n.inner.Namespace(ns)
	return r
}

type faultyResource struct {
	dynamic.ResourceInterface
	f    *faults
	what string
}

func (r faultyResource) Create(ctx context.Context, o *unstructured.Unstructured, opts metav1.CreateOptions, sub ...string) (out *unstructured.Unstructured, err error) {
	return out, r.f.do("create "+r.what+"/"+o.GetName(), func() (err error) {
		out, err = r.ResourceInterface.Create(ctx, o, opts, sub...)
		return err
	})
}

func (r faultyResource) Update(ctx context.Context, o *unstructured.Unstructured, opts metav1.UpdateOptions, sub ...string) (out *unstructured.Unstructured, err error) {
	return out, r.f.do("update "+r.what+"/"+o.GetName(), func() (err error) {
		out, err = r.ResourceInterface.Update(ctx, o, opts, sub...)
		return err
	})
}

func (r faultyResource) Patch(ctx context.Context, name string, pt types.PatchType, data []byte, opts metav1.PatchOptions, sub ...string) (out *unstructured.Unstructured, err error) {
	return out, r.f.do("patch "+r.what+"/"+name, func() (err error) {
		out, err = r.ResourceInterface.Patch(ctx, name, pt, data, opts, sub...)
		return err
	})
}

func (r faultyResource) Delete(ctx context.Context, name string, opts metav1.DeleteOptions, sub ...string) error {
	return r.f.do("delete "+r.what+"/"+name, func() error { return r.ResourceInterface.Delete(ctx, name, opts, sub...) })
}
