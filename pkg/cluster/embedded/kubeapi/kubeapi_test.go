// SPDX-License-Identifier: Apache-2.0

package kubeapi_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"

	"go.uber.org/goleak"

	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/kubeapi"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// clock is a time that a test moves.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) Now() time.Time          { return time.Unix(0, c.ns.Load()).UTC() }
func (c *clock) Advance(d time.Duration) { c.ns.Add(int64(d)) }

// start returns a server that ends with the test.
func start(t *testing.T, o kubeapi.Options) *kubeapi.Server {
	t.Helper()
	s, err := kubeapi.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func clientset(t *testing.T, s *kubeapi.Server) kubernetes.Interface {
	t.Helper()
	c, err := s.Clientset()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func dynamicOf(t *testing.T, s *kubeapi.Server) dynamic.Interface {
	t.Helper()
	c, err := s.Dynamic()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func secret(name string, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
}

func gvr(group, version, resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: group, Version: version, Resource: resource}
}

func serviceEntry(version string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.istio.io/" + version, "kind": "ServiceEntry",
		"metadata": map[string]any{"name": "se"},
		"spec":     map[string]any{"hosts": []any{"a.example"}, "location": "MESH_INTERNAL"},
	}}
}

func TestTypedLifecycle(t *testing.T) {
	now := newClock()
	s := start(t, kubeapi.Options{Now: now.Now})
	ctx, secrets := t.Context(), clientset(t, s).CoreV1().Secrets("default")

	made, err := secrets.Create(ctx, secret("cacerts", map[string][]byte{"root-cert.pem": []byte("x")}), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if made.UID == "" || made.ResourceVersion == "" || made.Type != corev1.SecretTypeOpaque || !made.CreationTimestamp.Time.Equal(now.Now()) {
		t.Errorf("create did not complete the object: %+v", made.ObjectMeta)
	}
	got, err := secrets.Get(ctx, "cacerts", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(made, got); d != "" {
		t.Errorf("get differs from create (-create +get):\n%s", d)
	}

	got.Data["root-cert.pem"] = []byte("y")
	updated, err := secrets.Update(ctx, got, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if updated.ResourceVersion == made.ResourceVersion || updated.UID != made.UID {
		t.Errorf("update: version %s after %s, uid %s after %s", updated.ResourceVersion, made.ResourceVersion, updated.UID, made.UID)
	}
	same, err := secrets.Update(ctx, updated, metav1.UpdateOptions{})
	if err != nil || same.ResourceVersion != updated.ResourceVersion {
		t.Errorf("an update that changes nothing made version %s of %s (%v)", same.ResourceVersion, updated.ResourceVersion, err)
	}
	if err := secrets.Delete(ctx, "cacerts", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := secrets.Get(ctx, "cacerts", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("get after delete: %v", err)
	}
}

func TestConflictAndRetry(t *testing.T) {
	s := start(t, kubeapi.Options{})
	ctx, maps := t.Context(), clientset(t, s).CoreV1().ConfigMaps("default")
	first, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "m"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	other := first.DeepCopy()
	other.Data = map[string]string{"a": "1"}
	if _, err := maps.Update(ctx, other, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	stale := first.DeepCopy()
	stale.Data = map[string]string{"b": "2"}
	if _, err := maps.Update(ctx, stale, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("stale update: %v", err)
	}
	next, tries := stale, 0
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		tries++
		_, err := maps.Update(ctx, next, metav1.UpdateOptions{})
		if apierrors.IsConflict(err) {
			if next, _ = maps.Get(ctx, "m", metav1.GetOptions{}); next != nil {
				next.Data["b"] = "2"
			}
		}
		return err
	})
	if err != nil || tries != 2 {
		t.Errorf("RetryOnConflict: %v after %d tries", err, tries)
	}
}

func TestErrorsAreThoseOfARealServer(t *testing.T) {
	s := start(t, kubeapi.Options{})
	ctx, c, dyn := t.Context(), clientset(t, s), dynamicOf(t, s)
	secrets := c.CoreV1().Secrets("default")
	if _, err := secrets.Create(ctx, secret("there", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	tls := secret("there", nil)
	tls.Type = "other"
	elsewhere := secret("x", nil)
	elsewhere.Namespace = "kube-system"
	badData := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{"name": "bad"}, "data": map[string]any{"k": "%%%"},
	}}

	tests := map[string]struct {
		do      func() error
		is      func(error) bool
		message string
	}{
		"not found": {
			func() error { _, err := secrets.Get(ctx, "gone", metav1.GetOptions{}); return err },
			apierrors.IsNotFound, `secrets "gone" not found`,
		},
		"exists": {
			func() error { _, err := secrets.Create(ctx, secret("there", nil), metav1.CreateOptions{}); return err },
			apierrors.IsAlreadyExists, `secrets "there" already exists`,
		},
		"missing namespace": {
			func() error {
				_, err := c.CoreV1().Secrets("nowhere").Create(ctx, secret("x", nil), metav1.CreateOptions{})
				return err
			},
			apierrors.IsNotFound, `namespaces "nowhere" not found`,
		},
		"name": {
			func() error {
				_, err := secrets.Create(ctx, secret("No_Such", nil), metav1.CreateOptions{})
				return err
			},
			apierrors.IsInvalid, "",
		},
		"immutable type": {
			func() error { _, err := secrets.Update(ctx, tls, metav1.UpdateOptions{}); return err },
			apierrors.IsInvalid, `Secret "there" is invalid: type: Invalid value: "other": field is immutable`,
		},
		"too long": {
			func() error {
				_, err := secrets.Create(ctx, secret("big", map[string][]byte{"k": make([]byte, 1<<20+1)}), metav1.CreateOptions{})
				return err
			},
			apierrors.IsInvalid, "",
		},
		"body too large": {
			func() error {
				_, err := secrets.Create(ctx, secret("big", map[string][]byte{"k": make([]byte, 4<<20)}), metav1.CreateOptions{})
				return err
			},
			apierrors.IsRequestEntityTooLargeError, "",
		},
		"namespace mismatch": {
			func() error {
				return c.CoreV1().RESTClient().Post().AbsPath("/api/v1/namespaces/default/secrets").Body(elsewhere).Do(ctx).Error()
			},
			apierrors.IsBadRequest, "the namespace of the provided object does not match the namespace sent on the request",
		},
		"not base64": {
			func() error {
				_, err := dyn.Resource(gvr("", "v1", "secrets")).Namespace("default").Create(ctx, badData, metav1.CreateOptions{})
				return err
			},
			apierrors.IsBadRequest, "",
		},
		"unknown resource": {
			func() error {
				_, err := dyn.Resource(gvr("x.example", "v1", "things")).List(ctx, metav1.ListOptions{})
				return err
			},
			apierrors.IsNotFound, "the server could not find the requested resource",
		},
		"custom update without version": {
			func() error {
				r := dyn.Resource(gvr("networking.istio.io", "v1", "serviceentries")).Namespace("default")
				if _, err := r.Create(ctx, serviceEntry("v1"), metav1.CreateOptions{}); err != nil {
					return err
				}
				_, err := r.Update(ctx, serviceEntry("v1"), metav1.UpdateOptions{})
				return err
			},
			apierrors.IsInvalid, "",
		},
		"apply": {
			func() error {
				_, err := secrets.Patch(ctx, "there", types.ApplyPatchType, []byte(`{}`), metav1.PatchOptions{FieldManager: "t"})
				return err
			},
			apierrors.IsUnsupportedMediaType, "",
		},
		"field selector": {
			func() error { _, err := secrets.List(ctx, metav1.ListOptions{FieldSelector: "data=x"}); return err },
			apierrors.IsBadRequest, "field label not supported: data",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := test.do()
			if !test.is(err) {
				t.Fatalf("wrong kind of error: %v (%s)", err, apierrors.ReasonForError(err))
			}
			if test.message != "" && err.Error() != test.message {
				t.Errorf("message %q, want %q", err, test.message)
			}
		})
	}
}

func TestCustomResourceInEveryVersion(t *testing.T) {
	s := start(t, kubeapi.Options{Resources: []kubeapi.Resource{
		{Group: "x.example", Versions: []string{"v2"}, Name: "things", Kind: "Thing", Namespaced: true, Generation: true},
	}})
	ctx, dyn := t.Context(), dynamicOf(t, s)
	old := dyn.Resource(gvr("networking.istio.io", "v1alpha3", "serviceentries")).Namespace("default")
	cur := dyn.Resource(gvr("networking.istio.io", "v1", "serviceentries")).Namespace("default")
	if _, err := old.Create(ctx, serviceEntry("v1alpha3"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	o, err := cur.Get(ctx, "se", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if o.GetAPIVersion() != "networking.istio.io/v1" || o.GetGeneration() != 1 {
		t.Errorf("stored through v1alpha3, read as %s, generation %d", o.GetAPIVersion(), o.GetGeneration())
	}
	o.SetLabels(map[string]string{"a": "b"})
	if o, err = cur.Update(ctx, o, metav1.UpdateOptions{}); err != nil || o.GetGeneration() != 1 {
		t.Fatalf("a label made generation %d (%v)", o.GetGeneration(), err)
	}
	if err := unstructured.SetNestedField(o.Object, "MESH_EXTERNAL", "spec", "location"); err != nil {
		t.Fatal(err)
	}
	if o, err = cur.Update(ctx, o, metav1.UpdateOptions{}); err != nil || o.GetGeneration() != 2 {
		t.Fatalf("a new spec made generation %d (%v)", o.GetGeneration(), err)
	}
	thing := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "x.example/v2", "kind": "Thing", "metadata": map[string]any{"name": "t"}}}
	if _, err := dyn.Resource(gvr("x.example", "v2", "things")).Namespace("default").Create(ctx, thing, metav1.CreateOptions{}); err != nil {
		t.Errorf("a registered kind: %v", err)
	}
}

func TestSeedObjects(t *testing.T) {
	s := start(t, kubeapi.Options{Objects: []runtime.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "shop"}, Status: corev1.PodStatus{Phase: corev1.PodRunning}},
		func() runtime.Object { se := serviceEntry("v1"); se.SetNamespace("shop"); return se }(),
	}})
	ctx, c := t.Context(), clientset(t, s)
	pod, err := c.CoreV1().Pods("shop").Get(ctx, "p", metav1.GetOptions{})
	if err != nil || pod.Status.Phase != corev1.PodRunning || pod.Spec.ServiceAccountName != "default" {
		t.Errorf("seeded pod: %v, %v", err, pod)
	}
	if _, err := c.CoreV1().ServiceAccounts("shop").Get(ctx, "default", metav1.GetOptions{}); err != nil {
		t.Errorf("a new namespace has no default service account: %v", err)
	}
	if _, err := kubeapi.New(context.WithoutCancel(ctx), kubeapi.Options{Objects: []runtime.Object{
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "none"}},
	}}); !apierrors.IsNotFound(err) {
		t.Errorf("a seed in a missing namespace: %v", err)
	}
}

func BenchmarkGetOverTLS(b *testing.B) {
	s, err := kubeapi.New(b.Context(), kubeapi.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	c, err := s.Clientset()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := c.CoreV1().ConfigMaps("default").Get(b.Context(), "kube-root-ca.crt", metav1.GetOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
