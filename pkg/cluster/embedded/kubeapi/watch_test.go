// SPDX-License-Identifier: Apache-2.0

package kubeapi_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/kubeapi"
)

const patience = 10 * time.Second

// next returns "TYPE name" of the next n events.
func next(t *testing.T, w watch.Interface, n int) []string {
	t.Helper()
	var got []string
	for range n {
		select {
		case ev, ok := <-w.ResultChan():
			if !ok {
				t.Fatalf("the watch ended after %v", got)
			}
			word := string(ev.Type)
			if o, ok := ev.Object.(metav1.Object); ok {
				word += " " + o.GetName()
			} else if st, ok := ev.Object.(*metav1.Status); ok {
				word += " " + string(st.Reason)
			}
			got = append(got, word)
		case <-time.After(patience):
			t.Fatalf("no event after %v", got)
		}
	}
	return got
}

func TestWatch(t *testing.T) {
	s := start(t, kubeapi.Options{})
	ctx, secrets := t.Context(), clientset(t, s).CoreV1().Secrets("default")
	list, err := secrets.List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	labelled := secret("a", nil)
	labelled.Labels = map[string]string{"on": "yes"}
	for _, o := range []*corev1.Secret{labelled, secret("b", nil)} {
		if _, err := secrets.Create(ctx, o, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	w, err := secrets.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	chosen, err := secrets.Watch(ctx, metav1.ListOptions{LabelSelector: "on=yes"})
	if err != nil {
		t.Fatal(err)
	}
	defer chosen.Stop()
	a, _ := secrets.Get(ctx, "a", metav1.GetOptions{})
	b, _ := secrets.Get(ctx, "b", metav1.GetOptions{})
	a.Labels, b.Labels = nil, map[string]string{"on": "yes"}
	for _, o := range []*corev1.Secret{a, b} {
		if _, err := secrets.Update(ctx, o, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := secrets.Delete(ctx, "b", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	want := []string{"ADDED a", "ADDED b", "MODIFIED a", "MODIFIED b", "DELETED b"}
	if d := cmp.Diff(want, next(t, w, len(want))); d != "" {
		t.Errorf("from a version (-want +got):\n%s", d)
	}
	want = []string{"ADDED a", "DELETED a", "ADDED b", "DELETED b"}
	if d := cmp.Diff(want, next(t, chosen, len(want))); d != "" {
		t.Errorf("by label (-want +got):\n%s", d)
	}
}

func TestWatchTooOld(t *testing.T) {
	s := start(t, kubeapi.Options{})
	ctx, c := t.Context(), clientset(t, s)
	o, err := s.Store().Create(gvr("", "v1", "configmaps"), "default", &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "m"}})
	if err != nil {
		t.Fatal(err)
	}
	m := o.(*corev1.ConfigMap)
	first := m.ResourceVersion
	for i := range 3000 {
		m.Data = map[string]string{"n": fmt.Sprint(i)}
		if o, err = s.Store().Update(gvr("", "v1", "configmaps"), m); err != nil {
			t.Fatal(err)
		}
		m = o.(*corev1.ConfigMap)
	}
	w, err := c.CoreV1().ConfigMaps("default").Watch(ctx, metav1.ListOptions{ResourceVersion: first})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	select {
	case ev := <-w.ResultChan():
		if err := apierrors.FromObject(ev.Object); !apierrors.IsResourceExpired(err) {
			t.Errorf("event %s: %v", ev.Type, err)
		}
	case <-time.After(patience):
		t.Fatal("no event")
	}
}

func TestCloseEndsWatches(t *testing.T) {
	s := start(t, kubeapi.Options{})
	w, err := clientset(t, s).CoreV1().Secrets("").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case _, ok := <-w.ResultChan():
		if ok {
			t.Error("an event instead of the end")
		}
	case <-time.After(patience):
		t.Error("the watch outlives its server")
	}
}

func TestInformers(t *testing.T) {
	s := start(t, kubeapi.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := clientset(t, s)
	if _, err := c.CoreV1().Secrets("default").Create(ctx, secret("before", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	var listed atomic.Bool
	s.SetInterceptor(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if kubeapi.ParseRequest(r).Verb == "list" {
				listed.Store(true)
			}
			next.ServeHTTP(w, r)
		})
	})
	seen := make(chan string, 10)
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { seen <- "add " + o.(metav1.Object).GetName() },
		UpdateFunc: func(_, o any) { seen <- "update " + o.(metav1.Object).GetName() },
		DeleteFunc: func(o any) { seen <- "delete " + o.(metav1.Object).GetName() },
	}
	typed := informers.NewSharedInformerFactoryWithOptions(c, 0, informers.WithNamespace("default"))
	dyn := dynamicinformer.NewDynamicSharedInformerFactory(dynamicOf(t, s), 0)
	for _, i := range []cache.SharedIndexInformer{
		typed.Core().V1().Secrets().Informer(),
		dyn.ForResource(gvr("networking.istio.io", "v1", "serviceentries")).Informer(),
	} {
		if _, err := i.AddEventHandler(handler); err != nil {
			t.Fatal(err)
		}
	}
	typed.Start(ctx.Done())
	dyn.Start(ctx.Done())
	defer typed.Shutdown()
	defer dyn.Shutdown()
	defer cancel()
	typed.WaitForCacheSync(ctx.Done())
	dyn.WaitForCacheSync(ctx.Done())

	se, err := s.Store().Create(gvr("networking.istio.io", "v1", "serviceentries"), "default", serviceEntry("v1"))
	if err != nil {
		t.Fatal(err)
	}
	expect(t, seen, "add before", "add se")
	if listed.Load() {
		t.Error("an informer fell back from WatchList to a list")
	}
	if err := unstructured.SetNestedField(se.(*unstructured.Unstructured).Object, "x", "spec", "resolution"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Store().Update(gvr("networking.istio.io", "v1", "serviceentries"), se); err != nil {
		t.Fatal(err)
	}
	expect(t, seen, "update se")
	if err := s.Store().Delete(gvr("", "v1", "secrets"), "default", "before"); err != nil {
		t.Fatal(err)
	}
	expect(t, seen, "delete before")
}

func expect(t *testing.T, seen <-chan string, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-seen:
			if got != w {
				t.Errorf("the informer saw %q, want %q", got, w)
			}
		case <-time.After(patience):
			t.Fatalf("the informer never saw %q", w)
		}
	}
}
