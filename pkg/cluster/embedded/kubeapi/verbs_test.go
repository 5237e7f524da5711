// SPDX-License-Identifier: Apache-2.0

package kubeapi_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/pager"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/kubeapi"
)

func deployment() *appsv1.Deployment {
	labels := map[string]string{"app": "istiod"}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "istiod"},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "discovery", Image: "a"}, {Name: "other", Image: "b"}}},
			},
		},
	}
}

func TestPatchAndStatus(t *testing.T) {
	s := start(t, kubeapi.Options{})
	ctx, apps := t.Context(), clientset(t, s).AppsV1().Deployments("default")
	d, err := apps.Create(ctx, deployment(), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if d.Generation != 1 || d.Spec.Replicas == nil || *d.Spec.Replicas != 1 {
		t.Fatalf("defaults: generation %d, replicas %v", d.Generation, d.Spec.Replicas)
	}
	// What kubectl rollout restart sends.
	restart := `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`
	if d, err = apps.Patch(ctx, "istiod", types.StrategicMergePatchType, []byte(restart), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if d.Generation != 2 || d.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"] != "now" {
		t.Errorf("restart: generation %d, %v", d.Generation, d.Spec.Template.Annotations)
	}
	image := `{"spec":{"template":{"spec":{"containers":[{"name":"other","image":"c"}]}}}}`
	if d, err = apps.Patch(ctx, "istiod", types.StrategicMergePatchType, []byte(image), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(d.Spec.Template.Spec.Containers) != 2 {
		t.Error("a strategic merge replaced the list of containers")
	}
	if d, err = apps.Patch(ctx, "istiod", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{}); err != nil || d.Generation != 3 {
		t.Errorf("a label: generation %d (%v)", d.Generation, err)
	}
	test := `[{"op":"test","path":"/spec/replicas","value":%d},{"op":"replace","path":"/spec/replicas","value":2}]`
	if _, err = apps.Patch(ctx, "istiod", types.JSONPatchType, fmt.Appendf(nil, test, 9), metav1.PatchOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("a failed test: %v", err)
	}
	if d, err = apps.Patch(ctx, "istiod", types.JSONPatchType, fmt.Appendf(nil, test, 1), metav1.PatchOptions{}); err != nil || *d.Spec.Replicas != 2 {
		t.Errorf("JSON patch: %v", err)
	}
	stale := `{"metadata":{"resourceVersion":"1","labels":{"c":"d"}}}`
	if _, err = apps.Patch(ctx, "istiod", types.MergePatchType, []byte(stale), metav1.PatchOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("a patch of a stale version: %v", err)
	}

	d.Status.ReadyReplicas = 2
	if plain, err := apps.Update(ctx, d.DeepCopy(), metav1.UpdateOptions{}); err != nil || plain.Status.ReadyReplicas != 0 {
		t.Errorf("a plain update wrote the status: %v", err)
	}
	d.Labels["x"] = "y"
	st, err := apps.UpdateStatus(ctx, d, metav1.UpdateOptions{})
	if err != nil || st.Status.ReadyReplicas != 2 || st.Labels["x"] != "" || st.Generation != d.Generation {
		t.Errorf("status update: %v, %+v", err, st)
	}
}

func TestPatchOfCustomResource(t *testing.T) {
	s := start(t, kubeapi.Options{})
	ctx := t.Context()
	r := dynamicOf(t, s).Resource(gvr("networking.istio.io", "v1beta1", "serviceentries")).Namespace("default")
	if _, err := r.Create(ctx, serviceEntry("v1beta1"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	o, err := r.Patch(ctx, "se", types.MergePatchType, []byte(`{"spec":{"location":null}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]any{"hosts": []any{"a.example"}}, o.Object["spec"]); d != "" {
		t.Errorf("merge patch (-want +got):\n%s", d)
	}
	if _, err := r.Patch(ctx, "se", types.StrategicMergePatchType, []byte(`{}`), metav1.PatchOptions{}); !apierrors.IsUnsupportedMediaType(err) {
		t.Errorf("strategic merge of a custom resource: %v", err)
	}
}

func TestListInPages(t *testing.T) {
	s := start(t, kubeapi.Options{})
	ctx, maps := t.Context(), clientset(t, s).CoreV1().ConfigMaps("kube-system")
	for i := range 25 {
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "m-", Labels: map[string]string{"odd": fmt.Sprint(i%2 == 1)}}}
		if _, err := maps.Create(ctx, m, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	first, err := maps.List(ctx, metav1.ListOptions{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Items) != 10 || first.Continue == "" || first.RemainingItemCount == nil || *first.RemainingItemCount != 16 {
		t.Errorf("first page: %d items, %+v", len(first.Items), first.ListMeta)
	}
	seen := map[string]bool{}
	p := pager.New(pager.SimplePageFunc(func(o metav1.ListOptions) (runtime.Object, error) { return maps.List(ctx, o) }))
	p.PageSize = 4
	if err := p.EachListItem(ctx, metav1.ListOptions{}, func(o runtime.Object) error {
		seen[o.(*corev1.ConfigMap).Name] = true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 26 { // and kube-root-ca.crt
		t.Errorf("%d objects over all pages, want 26", len(seen))
	}
	odd, err := maps.List(ctx, metav1.ListOptions{LabelSelector: "odd=true"})
	if err != nil || len(odd.Items) != 12 {
		t.Errorf("by label: %d, want 12 (%v)", len(odd.Items), err)
	}
	one, err := maps.List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + odd.Items[0].Name})
	if err != nil || len(one.Items) != 1 {
		t.Errorf("by field: %d, want 1 (%v)", len(one.Items), err)
	}
	if _, err := maps.List(ctx, metav1.ListOptions{Continue: "bad"}); !apierrors.IsBadRequest(err) {
		t.Errorf("bad continue: %v", err)
	}
	if err := maps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "odd"}); err != nil {
		t.Fatal(err)
	}
	if left, err := maps.List(ctx, metav1.ListOptions{}); err != nil || len(left.Items) != 1 {
		t.Errorf("after deletecollection: %d, want 1 (%v)", len(left.Items), err)
	}
}

func TestNamespaceDelete(t *testing.T) {
	s := start(t, kubeapi.Options{Objects: []runtime.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}}})
	ctx, c := t.Context(), clientset(t, s)
	held := secret("held", nil)
	held.Finalizers = []string{"x.example/hold"}
	for _, o := range []*corev1.Secret{secret("free", nil), held} {
		if _, err := c.CoreV1().Secrets("shop").Create(ctx, o, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.CoreV1().Namespaces().Delete(ctx, "shop", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	ns, err := c.CoreV1().Namespaces().Get(ctx, "shop", metav1.GetOptions{})
	if err != nil || ns.Status.Phase != corev1.NamespaceTerminating {
		t.Fatalf("a namespace with a held object: %v, %v", err, ns)
	}
	if _, err := c.CoreV1().Secrets("shop").Get(ctx, "free", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("an object outlives its namespace: %v", err)
	}
	_, err = c.CoreV1().Secrets("shop").Create(ctx, secret("late", nil), metav1.CreateOptions{})
	if !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		t.Errorf("a create in a terminating namespace: %v", err)
	}
	if _, err := c.CoreV1().Secrets("shop").Patch(ctx, "held", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CoreV1().Namespaces().Get(ctx, "shop", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the namespace outlives its last object: %v", err)
	}
}

func TestDeletePreconditionsAndDryRun(t *testing.T) {
	s := start(t, kubeapi.Options{})
	ctx, secrets := t.Context(), clientset(t, s).CoreV1().Secrets("default")
	dry := []string{metav1.DryRunAll}
	if o, err := secrets.Create(ctx, secret("s", nil), metav1.CreateOptions{DryRun: dry}); err != nil || o.UID == "" {
		t.Fatalf("dry create: %v", err)
	}
	if _, err := secrets.Get(ctx, "s", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Fatalf("a dry create left something: %v", err)
	}
	o, err := secrets.Create(ctx, secret("s", nil), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	other := types.UID("other")
	if err := secrets.Delete(ctx, "s", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &other}}); !apierrors.IsConflict(err) {
		t.Errorf("delete of another uid: %v", err)
	}
	if err := secrets.Delete(ctx, "s", metav1.DeleteOptions{DryRun: dry}); err != nil {
		t.Errorf("dry delete: %v", err)
	}
	if err := secrets.Delete(ctx, "s", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &o.UID, ResourceVersion: &o.ResourceVersion}}); err != nil {
		t.Errorf("delete of this uid: %v", err)
	}
}

func TestDiscovery(t *testing.T) {
	s := start(t, kubeapi.Options{})
	d := clientset(t, s).Discovery()
	if v, err := d.ServerVersion(); err != nil || v.Major != "1" {
		t.Errorf("version: %v, %v", v, err)
	}
	groups, err := restmapper.GetAPIGroupResources(d)
	if err != nil {
		t.Fatal(err)
	}
	mapper := restmapper.NewDiscoveryRESTMapper(groups)
	for kind, want := range map[schema.GroupKind]schema.GroupVersionResource{
		{Kind: "Endpoints"}:                                       gvr("", "v1", "endpoints"),
		{Group: "apps", Kind: "Deployment"}:                       gvr("apps", "v1", "deployments"),
		{Group: "networking.istio.io", Kind: "ServiceEntry"}:      gvr("networking.istio.io", "v1", "serviceentries"),
		{Group: "gateway.networking.k8s.io", Kind: "Gateway"}:     gvr("gateway.networking.k8s.io", "v1", "gateways"),
		{Group: "authentication.k8s.io", Kind: "TokenReview"}:     gvr("authentication.k8s.io", "v1", "tokenreviews"),
		{Group: "networking.istio.io", Kind: "EnvoyFilter"}:       gvr("networking.istio.io", "v1alpha3", "envoyfilters"),
		{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}: gvr("rbac.authorization.k8s.io", "v1", "clusterroles"),
	} {
		m, err := mapper.RESTMapping(kind)
		if err != nil || m.Resource != want {
			t.Errorf("%s maps to %v (%v), want %v", kind, m, err, want)
		}
	}
	body, err := d.RESTClient().Get().AbsPath("/readyz").DoRaw(t.Context())
	if err != nil || string(body) != "ok" {
		t.Errorf("readyz: %q, %v", body, err)
	}
}

func TestMetadataClient(t *testing.T) {
	s := start(t, kubeapi.Options{})
	c, err := metadata.NewForConfig(s.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	list, err := c.Resource(gvr("", "v1", "namespaces")).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 4 || list.Items[0].Name != "default" {
		t.Errorf("metadata of namespaces: %v, %v", list, err)
	}
}

func TestInterceptor(t *testing.T) {
	s := start(t, kubeapi.Options{})
	ctx, secrets := t.Context(), clientset(t, s).CoreV1().Secrets("default")
	secretsGR := schema.GroupResource{Resource: "secrets"}
	var mu sync.Mutex
	var queue []error
	s.SetInterceptor(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if q := kubeapi.ParseRequest(r); q.Resource != "secrets" || q.Verb != "create" || q.Namespace != "default" || len(queue) == 0 {
				next.ServeHTTP(w, r)
				return
			}
			kubeapi.Refuse(w, queue[0])
			queue = queue[1:]
		})
	})
	for want, err := range map[metav1.StatusReason]error{
		metav1.StatusReasonConflict:      apierrors.NewConflict(secretsGR, "s", fmt.Errorf("busy")),
		metav1.StatusReasonInternalError: apierrors.NewInternalError(fmt.Errorf("etcd")),
	} {
		queue = []error{err}
		if _, err := secrets.Create(ctx, secret("s", nil), metav1.CreateOptions{}); apierrors.ReasonForError(err) != want {
			t.Errorf("injected %s, got %v", want, err)
		}
	}
	queue = []error{apierrors.NewTooManyRequests("slow down", 1)}
	// client-go retries a 429 by itself, after Retry-After.
	if _, err := secrets.Create(ctx, secret("s", nil), metav1.CreateOptions{}); err != nil {
		t.Errorf("after a 429: %v", err)
	}
	s.SetInterceptor(nil)
	if _, err := secrets.Get(ctx, "s", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}

func TestSubscribe(t *testing.T) {
	s := start(t, kubeapi.Options{Admins: []string{"default/x"}})
	store, secretsGVR, mapsGVR := s.Store(), gvr("", "v1", "secrets"), gvr("", "v1", "configmaps")
	var got []string
	cancel := store.Subscribe(secretsGVR, func(e kubeapi.Event) {
		got = append(got, string(e.Type)+" "+e.Object.(*corev1.Secret).Name)
		if e.Type != "ADDED" {
			return
		}
		// A controller's reaction, from within the callback.
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: e.Object.(*corev1.Secret).Name}}
		if _, err := store.Create(mapsGVR, "default", m); err != nil {
			t.Error(err)
		}
	})
	stop := store.Subscribe(mapsGVR, func(e kubeapi.Event) { got = append(got, "map "+string(e.Type)) })
	if _, err := clientset(t, s).CoreV1().Secrets("default").Create(t.Context(), secret("a", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := store.Delete(secretsGVR, "default", "a"); err != nil {
		t.Fatal(err)
	}
	cancel()
	stop()
	if _, err := store.Create(secretsGVR, "default", secret("b", nil)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"ADDED a", "map ADDED", "DELETED a"}, got); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

// TestConcurrentWriters counts with optimistic locking from many clients, and
// sees each step exactly once and in order.
func TestConcurrentWriters(t *testing.T) {
	s := start(t, kubeapi.Options{})
	store, key := s.Store(), gvr("", "v1", "configmaps")
	if _, err := store.Create(key, "default", &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "m"}, Data: map[string]string{"n": ""}}); err != nil {
		t.Fatal(err)
	}
	var lengths []int
	store.Subscribe(key, func(e kubeapi.Event) { lengths = append(lengths, len(e.Object.(*corev1.ConfigMap).Data["n"])) })
	c := clientset(t, s).CoreV1().ConfigMaps("default")
	const writers, each = 8, 10
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				m, err := c.Get(context.Background(), "m", metav1.GetOptions{})
				if err != nil {
					t.Error(err)
					return
				}
				m.Data["n"] += "x"
				switch _, err := c.Update(context.Background(), m, metav1.UpdateOptions{}); {
				case err == nil:
					done++
				case !apierrors.IsConflict(err):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	m, err := c.Get(t.Context(), "m", metav1.GetOptions{})
	if err != nil || m.Data["n"] != strings.Repeat("x", writers*each) {
		t.Errorf("counted to %d, want %d (%v)", len(m.Data["n"]), writers*each, err)
	}
	for i, n := range lengths {
		if n != i+1 {
			t.Fatalf("event %d is of length %d: lost or out of order", i, n)
		}
	}
	if len(lengths) != writers*each {
		t.Errorf("%d events, want %d", len(lengths), writers*each)
	}
}
