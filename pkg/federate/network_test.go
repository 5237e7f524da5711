// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// slowIstiod lists one Service of a Gateway without its label and hands the
// label over when somebody watches, or never.
type slowIstiod struct {
	dynamic.NamespaceableResourceInterface
	never   bool
	labeled bool
}

func (s *slowIstiod) Resource(schema.GroupVersionResource) dynamic.NamespaceableResourceInterface {
	return s
}

func (s *slowIstiod) Namespace(string) dynamic.ResourceInterface { return s }

func (s *slowIstiod) service() *unstructured.Unstructured {
	o := newSecret("istio-system", "eastwest-ambient", "", nil)
	if s.labeled {
		o.SetLabels(map[string]string{labelNetwork: "net"})
	}
	return o
}

func (s *slowIstiod) List(context.Context, metav1.ListOptions) (*unstructured.UnstructuredList, error) {
	return &unstructured.UnstructuredList{Items: []unstructured.Unstructured{*s.service()}}, nil
}

func (s *slowIstiod) Watch(context.Context, metav1.ListOptions) (watch.Interface, error) {
	w := watch.NewFakeWithChanSize(1, false)
	if !s.never {
		s.labeled = true
		w.Modify(s.service())
	}
	return w, nil
}

type inNetwork struct{ cluster.Cluster }

func (inNetwork) Network() string { return "net" }

// TestAwaitGatewayService: the step ends when istiod has labelled the Service,
// not before, and does not fail where istiod never does.
func TestAwaitGatewayService(t *testing.T) {
	for name, never := range map[string]bool{"late": false, "never": true} {
		t.Run(name, func(t *testing.T) {
			api := &slowIstiod{never: never}
			f := &federation{opts: Options{StepTimeout: time.Minute}.complete()}
			if never {
				f.opts.StepTimeout = 10 * time.Millisecond
			}
			m := &member{f: f, cluster: inNetwork{}, dyn: api}
			if err := m.awaitGatewayService(t.Context(), api.service()); err != nil {
				t.Error(err)
			}
			if api.labeled == never {
				t.Errorf("it returned with the label %t", api.labeled)
			}
		})
	}
}
