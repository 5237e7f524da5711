// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
)

func TestClasses(t *testing.T) {
	m := &member{ns: "istio-system"}
	type labels = map[string]string
	for name, tc := range map[string]struct {
		kind                    kind
		in                      string
		pod, notes, ns          labels
		istiod, gateway, meshed bool
	}{
		"istiod":            {kind: deployments, in: "istio-system", pod: labels{"app": "istiod", "istio.io/rev": "1-31"}, istiod: true},
		"istiod-elsewhere":  {kind: deployments, in: "other", pod: labels{"app": "istiod"}},
		"classic-gateway":   {kind: deployments, in: "istio-system", pod: labels{"istio": "eastwestgateway", "istio.io/rev": "default"}, gateway: true},
		"injected-gateway":  {kind: deployments, in: "edge", notes: labels{"inject.istio.io/templates": "sidecar,gateway"}, ns: labels{"istio-injection": "enabled"}, gateway: true},
		"waypoint":          {kind: deployments, in: "shop", pod: labels{"gateway.networking.k8s.io/gateway-name": "waypoint"}, gateway: true},
		"ztunnel":           {kind: daemonSets, in: "istio-system", pod: labels{"app": "ztunnel"}, meshed: true},
		"injected":          {kind: statefulSets, in: "shop", ns: labels{"istio-injection": "enabled"}, meshed: true},
		"by-revision":       {kind: deployments, in: "shop", ns: labels{"istio.io/rev": "canary"}, meshed: true},
		"disabled-wins":     {kind: deployments, in: "shop", ns: labels{"istio-injection": "disabled", "istio.io/rev": "canary"}},
		"opted-out":         {kind: deployments, in: "shop", pod: labels{"sidecar.istio.io/inject": "false"}, ns: labels{"istio-injection": "enabled"}},
		"opted-out-by-note": {kind: deployments, in: "shop", notes: labels{"sidecar.istio.io/inject": "false"}, ns: labels{"istio-injection": "enabled"}},
		"opted-in":          {kind: deployments, in: "plain", pod: labels{"sidecar.istio.io/inject": "true"}, meshed: true},
		"ambient":           {kind: deployments, in: "shop", ns: labels{"istio.io/dataplane-mode": "ambient"}},
		"outside":           {kind: deployments, in: "plain"},
	} {
		t.Run(name, func(t *testing.T) {
			o := &unstructured.Unstructured{Object: map[string]any{}}
			o.SetNamespace(tc.in)
			r := rollable{kind: tc.kind, object: o, labels: tc.pod, annotations: tc.notes, namespace: tc.ns}
			got := [3]bool{isIstiod(m, r), isGateway(m, r), isMeshed(m, r)}
			if want := [3]bool{tc.istiod, tc.gateway, tc.meshed}; got != want {
				t.Errorf("istiod, gateway, meshed = %v, want %v", got, want)
			}
		})
	}
}

func TestRolledOut(t *testing.T) {
	type status = map[string]any
	for name, tc := range map[string]struct {
		kind   kind
		spec   status
		status status
		want   string
	}{
		"complete":       {deployments, status{"replicas": int64(2)}, status{"observedGeneration": int64(3), "replicas": int64(2), "updatedReplicas": int64(2), "availableReplicas": int64(2)}, ""},
		"scaled-to-zero": {deployments, status{"replicas": int64(0)}, status{"observedGeneration": int64(3)}, ""},
		"not-seen":       {deployments, nil, status{"observedGeneration": int64(2), "replicas": int64(1), "updatedReplicas": int64(1), "availableReplicas": int64(1)}, "the change is not seen yet"},
		"old-pods":       {deployments, nil, status{"observedGeneration": int64(3), "replicas": int64(2), "updatedReplicas": int64(1), "availableReplicas": int64(2)}, "1 old pods are still there"},
		"not-available":  {deployments, nil, status{"observedGeneration": int64(3), "replicas": int64(1), "updatedReplicas": int64(1)}, "0 of 1 pods available"},
		"daemonset":      {daemonSets, nil, status{"observedGeneration": int64(3), "desiredNumberScheduled": int64(3), "updatedNumberScheduled": int64(2), "numberAvailable": int64(3)}, "2 of 3 pods updated"},
		"statefulset":    {statefulSets, status{"replicas": int64(2)}, status{"observedGeneration": int64(3), "updatedReplicas": int64(2), "readyReplicas": int64(1)}, "1 of 2 pods ready"},
	} {
		t.Run(name, func(t *testing.T) {
			o := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"generation": int64(3)}, "spec": tc.spec, "status": tc.status}}
			if got := rolledOut(tc.kind, o); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func fakeSecrets(t *testing.T) (*dynamicfake.FakeDynamicClient, dynamic.ResourceInterface) {
	t.Helper()
	c := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{secrets.gvr(): "SecretList"})
	return c, c.Resource(secrets.gvr()).Namespace("a")
}

func untilThere(seen objects) ([]string, error) {
	if seen[objectKey{"a", "wanted"}] != nil {
		return nil, nil
	}
	return []string{"secret wanted"}, nil
}

func TestAwaitTellsWhatIsMissing(t *testing.T) {
	_, res := fakeSecrets(t)
	err := await(t.Context(), res, metav1.ListOptions{}, 30*time.Millisecond, untilThere)
	te, ok := errors.AsType[*TimeoutError](err)
	if !ok || err.Error() != "not done after 30ms: secret wanted" || !te.Timeout() {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := await(ctx, res, metav1.ListOptions{}, time.Minute, untilThere); !errors.Is(err, context.Canceled) {
		t.Errorf("after an interrupt: %v", err)
	}
}

// A watch that ends, or is too old, is begun anew.
func TestAwaitOutlivesWatches(t *testing.T) {
	c, res := fakeSecrets(t)
	watches := 0
	c.PrependWatchReactor("secrets", func(clienttesting.Action) (bool, watch.Interface, error) {
		watches++
		w := watch.NewFakeWithChanSize(1, false)
		switch watches {
		case 1:
			w.Stop()
		case 2:
			gone := apierrors.NewResourceExpired("too old")
			w.Error(&gone.ErrStatus)
		case 3:
			o := newSecret("a", "wanted", "Opaque", nil)
			w.Add(o)
		}
		return true, w, nil
	})
	if err := await(t.Context(), res, metav1.ListOptions{}, 10*time.Second, untilThere); err != nil || watches != 3 {
		t.Errorf("after %d watches: %v", watches, err)
	}
}

func TestRetryIsBounded(t *testing.T) {
	n := 0
	conflict := apierrors.NewConflict(schema.GroupResource{}, "x", errors.New("changed"))
	if err := retry(t.Context(), func() error { n++; return conflict }); !apierrors.IsConflict(err) || n != maxAttempts {
		t.Errorf("%d attempts: %v", n, err)
	}
	n = 0
	if err := retry(t.Context(), func() error { n++; return apierrors.NewBadRequest("no") }); err == nil || n != 1 {
		t.Errorf("%d attempts at a bad request: %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n = 0
	busy := apierrors.NewTooManyRequests("later", 20)
	start := time.Now()
	_ = retry(ctx, func() error { n++; cancel(); return busy })
	if n != 1 || time.Since(start) > 5*time.Second {
		t.Errorf("%d attempts in %s although interrupted", n, time.Since(start))
	}
}

// Whatever is wrong with cacerts is found, and said.
func TestJudgeCACerts(t *testing.T) {
	ctx, now := t.Context(), time.Now()
	i, err := issuer.NewBuiltin(&issuer.Memory{}, issuer.Options{KeyType: issuer.ECDSAP256})
	if err != nil {
		t.Fatal(err)
	}
	root, err := i.Root(ctx)
	if err != nil {
		t.Fatal(err)
	}
	made := func(i issuer.Issuer, name string) map[string][]byte {
		key, err := i.Profile().GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		csr, err := i.Profile().Request(key, name)
		if err != nil {
			t.Fatal(err)
		}
		chain, err := i.Sign(ctx, csr, name)
		if err != nil {
			t.Fatal(err)
		}
		keyPEM, err := issuer.EncodeKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return map[string][]byte{caCertKey: issuer.EncodeCertificates(chain...), caKeyKey: keyPEM, rootCertKey: issuer.EncodeCertificates(root), chainKey: issuer.EncodeCertificates(chain[0], root)}
	}
	other, err := issuer.NewBuiltin(&issuer.Memory{}, issuer.Options{KeyType: issuer.ECDSAP256})
	if err != nil {
		t.Fatal(err)
	}
	otherKey := made(i, "east")[caKeyKey]
	for name, tc := range map[string]struct {
		spoil func(map[string][]byte) map[string][]byte
		at    time.Time
		want  string
	}{
		"good":          {nil, now, ""},
		"incomplete":    {func(d map[string][]byte) map[string][]byte { delete(d, chainKey); return d }, now, "it is incomplete"},
		"empty-chain":   {func(d map[string][]byte) map[string][]byte { d[chainKey] = nil; return d }, now, "it is incomplete"},
		"tls-format":    {func(d map[string][]byte) map[string][]byte { d["tls.crt"] = d[caCertKey]; return d }, now, "it has the format of kubernetes.io/tls"},
		"other-root":    {func(d map[string][]byte) map[string][]byte { d[rootCertKey] = d[caCertKey]; return d }, now, "its root is not the shared root"},
		"other-signer":  {func(map[string][]byte) map[string][]byte { return made(other, "east") }, now, "its certificate was not signed by the shared root"},
		"other-cluster": {func(map[string][]byte) map[string][]byte { return made(i, "west") }, now, "its certificate belongs to another cluster"},
		"no-cluster":    {func(map[string][]byte) map[string][]byte { return made(i, "") }, now, "its certificate was not made by meshprobe: it names no cluster"},
		"short-chain":   {func(d map[string][]byte) map[string][]byte { d[chainKey] = d[caCertKey]; return d }, now, "its chain is not intermediate and root"},
		"other-key":     {func(d map[string][]byte) map[string][]byte { d[caKeyKey] = otherKey; return d }, now, "its key does not match its certificate"},
		"runs-out":      {nil, now.Add(150 * 24 * time.Hour), "its certificate has less than a third of its life left"},
	} {
		t.Run(name, func(t *testing.T) {
			data := made(i, "east")
			if tc.spoil != nil {
				data = tc.spoil(data)
			}
			c := caState{Intermediate: firstCert(data[caCertKey]), Root: firstCert(data[rootCertKey])}
			got := ""
			if err := (caSide{&member{name: "east"}}).judge(c, data, root, tc.at); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
