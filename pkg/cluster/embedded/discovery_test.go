// SPDX-License-Identifier: Apache-2.0

package embedded_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

var (
	namespacesGVR  = corev1.SchemeGroupVersion.WithResource("namespaces")
	policiesGVR    = schema.GroupVersionResource{Group: "security.istio.io", Version: "v1", Resource: "peerauthentications"}
	gatewaysGVR    = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "gateways"}
	serviceEntries = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "serviceentries"}
)

func edgeOf(dp cluster.DataPlane) cluster.Edge {
	ns := cluster.DefaultSidecarNamespace
	if dp == cluster.Ambient {
		ns = cluster.DefaultAmbientNamespace
	}
	return cluster.Edge{
		From: cluster.Ref{Cluster: "east", Namespace: ns, Name: "reviews"},
		To:   cluster.Ref{Cluster: "west", Namespace: ns, Name: "ratings"}, DataPlane: dp,
	}
}

// seen is how an edge resolves in short: nothing, a pod or a gateway.
func seen(t *testing.T, set *cluster.Set, dp cluster.DataPlane) string {
	t.Helper()
	ep, found := endpoint(t, set, edgeOf(dp))
	switch {
	case !found:
		return "nothing"
	case ep.Gateway:
		return "gateway"
	case strings.HasPrefix(ep.Address, "10.1."):
		return "pod"
	}
	return ep.Address
}

// breakToken has the remote secret for west in east hold a token that no API
// takes.
func breakToken(t *testing.T, east, west cluster.Cluster) {
	t.Helper()
	s := remoteSecret(t, west)
	before, _, ok := strings.Cut(string(s.Data["west"]), "token: ")
	if !ok {
		t.Fatal("no token")
	}
	s.Data["west"] = []byte(before + "token: broken\n")
	putSecret(t, east, s)
}

func TestObjectsDecideWhatResolves(t *testing.T) {
	type result struct{ Sidecar, Ambient string }
	for name, tc := range map[string]struct {
		change func(t *testing.T, east, west cluster.Cluster)
		want   result
	}{
		"healthy": {want: result{"gateway", "gateway"}},
		"remote-secret-missing": {
			change: func(t *testing.T, east, _ cluster.Cluster) {
				if err := kube(t, east).CoreV1().Secrets("istio-system").Delete(t.Context(), "istio-remote-secret-west", metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
			}, want: result{"nothing", "nothing"},
		},
		"remote-secret-without-label": {
			change: func(t *testing.T, east, west cluster.Cluster) {
				s := remoteSecret(t, west)
				s.Labels = nil
				putSecret(t, east, s)
			}, want: result{"nothing", "nothing"},
		},
		"token-broken": { // istiod goes on with the one it had
			change: func(t *testing.T, east, west cluster.Cluster) { breakToken(t, east, west) },
			want:   result{"gateway", "gateway"},
		},
		"token-broken-before-istiod-started": {
			change: func(t *testing.T, east, west cluster.Cluster) {
				breakToken(t, east, west)
				restart(t, east, "istio-system", "istiod")
			}, want: result{"nothing", "nothing"},
		},
		"token-broken-then-unlabelled": {
			change: func(t *testing.T, east, west cluster.Cluster) {
				breakToken(t, east, west)
				s := remoteSecret(t, west)
				s.Labels = nil
				putSecret(t, east, s)
			}, want: result{"nothing", "nothing"},
		},
		"token-broken-twice": {
			change: func(t *testing.T, east, west cluster.Cluster) {
				breakToken(t, east, west)
				s := remoteSecret(t, west)
				s.Data["west"] = []byte("none")
				putSecret(t, east, s)
			}, want: result{"gateway", "gateway"},
		},
		"token-revoked": {
			change: func(t *testing.T, _, west cluster.Cluster) {
				if err := kube(t, west).CoreV1().ServiceAccounts("istio-system").Delete(t.Context(), "istio-reader-service-account", metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
			}, want: result{"nothing", "nothing"},
		},
		"network-label-missing": {
			change: func(t *testing.T, _, west cluster.Cluster) {
				patch(t, west, namespacesGVR, "", "istio-system", `{"metadata":{"labels":{"topology.istio.io/network":null}}}`)
			}, want: result{"pod", "pod"},
		},
		"gateway-service-without-label": {
			change: func(t *testing.T, _, west cluster.Cluster) {
				patch(t, west, corev1.SchemeGroupVersion.WithResource("services"), "istio-system", "istio-eastwestgateway", `{"metadata":{"labels":{"topology.istio.io/network":null}}}`)
			}, want: result{"pod", "gateway"},
		},
		"ambient-gateway-without-label": {
			change: func(t *testing.T, _, west cluster.Cluster) {
				patch(t, west, schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"}, "istio-system", "eastwest-ambient", `{"metadata":{"labels":{"topology.istio.io/network":null}}}`)
			}, want: result{"gateway", "nothing"},
		},
		"ambient-service-not-global": {
			change: func(t *testing.T, _, west cluster.Cluster) {
				patch(t, west, corev1.SchemeGroupVersion.WithResource("services"), "bookinfo-ambient", "ratings", `{"metadata":{"labels":{"istio.io/global":null}}}`)
			}, want: result{"gateway", "nothing"},
		},
		"mtls-disabled-remote": {
			change: func(t *testing.T, _, west cluster.Cluster) {
				patch(t, west, policiesGVR, "bookinfo", "default", `{"spec":{"mtls":{"mode":"DISABLE"}}}`)
			}, want: result{"nothing", "gateway"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := open(t, 2)
			federate(t, set)
			if tc.change != nil {
				_ = seen(t, set, cluster.Sidecar) // a cache must not hide the change
				tc.change(t, set.Clusters[0], set.Clusters[1])
			}
			if diff := cmp.Diff(tc.want, result{seen(t, set, cluster.Sidecar), seen(t, set, cluster.Ambient)}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFlatNetworkNeedsNoGateway(t *testing.T) {
	top, err := cluster.ParseTopology(strings.NewReader("version: meshprobe/v1\nclusters: [{name: east, network: one}, {name: west, network: one}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	set := openTopology(t, top)
	federate(t, set)
	for _, dp := range []cluster.DataPlane{cluster.Sidecar, cluster.Ambient} {
		ep, found := endpoint(t, set, edgeOf(dp))
		if !found || ep.Gateway {
			t.Errorf("%s: %+v", dp, ep)
			continue
		}
		if got, err := call(t.Context(), set.Clusters[0], identity(t, set, edgeOf(dp).From), ep); err != nil || !strings.HasPrefix(got, "west/") {
			t.Errorf("%s: %q, %v", dp, got, err)
		}
	}
}

func TestTwoTrustDomains(t *testing.T) {
	top, err := cluster.ParseTopology(strings.NewReader(`version: meshprobe/v1
clusters:
  - {name: east, trustDomain: east.example, trustDomainAliases: [west.example]}
  - {name: west, trustDomain: west.example, trustDomainAliases: [east.example]}
`))
	if err != nil {
		t.Fatal(err)
	}
	set := openTopology(t, top)
	federate(t, set)
	for dp, works := range map[cluster.DataPlane]bool{cluster.Sidecar: true, cluster.Ambient: false} {
		ep, found := endpoint(t, set, edgeOf(dp))
		if !found {
			t.Fatalf("%s does not resolve", dp)
		}
		_, err := call(t.Context(), set.Clusters[0], identity(t, set, edgeOf(dp).From), ep)
		if (err == nil) != works {
			t.Errorf("%s across trust domains with aliases: %v", dp, err)
		}
	}
}

// hello sends a ClientHello to the sidecar gateway of west and reports how it ends.
func hello(t *testing.T, c cluster.Cluster, sni string, alpn ...string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	raw, err := c.Dial(ctx, cluster.Workload{}, "192.0.2.3:15443")
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	return tls.Client(raw, &tls.Config{ServerName: sni, NextProtos: alpn, InsecureSkipVerify: true}).HandshakeContext(ctx)
}

func TestPassthroughGateway(t *testing.T) {
	set := open(t, 2)
	federate(t, set)
	east, west := set.Clusters[0], set.Clusters[1]
	ratings := cluster.SNI("ratings.bookinfo.svc.cluster.local", 9080)
	closed := func(err error) bool {
		return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed)
	}
	for name, tc := range map[string]struct {
		sni, alpn string
		passes    bool
	}{
		"known":            {ratings, "istio", true},
		"unknown-service":  {cluster.SNI("nothing.bookinfo.svc.cluster.local", 9080), "istio", false},
		"unknown-port":     {cluster.SNI("ratings.bookinfo.svc.cluster.local", 80), "istio", false},
		"no-marker":        {ratings, "h2", false},
		"ambient-workload": {cluster.SNI("ratings.bookinfo-ambient.svc.cluster.local", 9080), "istio", false},
		"not-istio":        {"ratings.bookinfo.svc.cluster.local", "istio", false},
	} {
		t.Run(name, func(t *testing.T) {
			err := hello(t, east, tc.sni, tc.alpn)
			if tc.passes && err != nil || !tc.passes && !closed(err) {
				t.Errorf("got %v", err)
			}
		})
	}
	patch(t, west, policiesGVR, "bookinfo", "default", `{"spec":{"mtls":{"mode":"DISABLE"}}}`)
	if err := hello(t, east, ratings, "istio"); !closed(err) {
		t.Errorf("mTLS disabled: %v", err)
	}
	patch(t, west, policiesGVR, "bookinfo", "default", `{"spec":{"mtls":{"mode":"STRICT"}}}`)
	if err := hello(t, east, ratings, "istio"); err != nil {
		t.Errorf("mTLS on again: %v", err)
	}
	k, _ := cluster.As[cluster.Kube](west)
	if err := k.Dynamic().Resource(gatewaysGVR).Namespace("istio-system").Delete(t.Context(), "cross-network-gateway", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := hello(t, east, ratings, "istio"); !closed(err) {
		t.Errorf("nothing exposed: %v", err)
	}
}

func TestPeerAuthenticationTakesEffect(t *testing.T) {
	set := open(t, 2)
	c := set.Clusters[0]
	plain := func() string {
		conn, err := c.Dial(t.Context(), cluster.Workload{}, "ratings.bookinfo:9080")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		answer, err := get(conn)
		if err != nil {
			return "closed"
		}
		return answer
	}
	for _, tc := range []struct{ mode, want string }{
		{"STRICT", "closed"}, {"PERMISSIVE", "east/bookinfo/ratings-v1"}, {"DISABLE", "east/bookinfo/ratings-v1"}, {"STRICT", "closed"},
	} {
		patch(t, c, policiesGVR, "bookinfo", "default", `{"spec":{"mtls":{"mode":"`+tc.mode+`"}}}`)
		if got := plain(); got != tc.want {
			t.Errorf("plaintext under %s: %q, want %q", tc.mode, got, tc.want)
		}
		ws, err := c.Workloads(t.Context())
		if err != nil || string(ws[0].MTLS) != tc.mode {
			t.Errorf("workload says %s under %s, %v", ws[0].MTLS, tc.mode, err)
		}
	}
}

// TestServiceEntry federates one service the way Service Mesh Hub does.
func TestServiceEntry(t *testing.T) {
	set := open(t, 2)
	federate(t, set)
	east, west := set.Clusters[0], set.Clusters[1]
	create := func(c cluster.Cluster, gvr schema.GroupVersionResource, kind string, spec map[string]any) {
		k, _ := cluster.As[cluster.Kube](c)
		o := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "networking.istio.io/v1", "kind": kind,
			"metadata": map[string]any{"name": "smh", "namespace": "istio-system"}, "spec": spec,
		}}
		if _, err := k.Dynamic().Resource(gvr).Namespace("istio-system").Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	create(east, serviceEntries, "ServiceEntry", map[string]any{
		"hosts": []any{"ratings.bookinfo.west"}, "addresses": []any{"240.0.0.1"}, "location": "MESH_INTERNAL", "resolution": "DNS",
		"ports":           []any{map[string]any{"name": "http", "number": int64(9080), "protocol": "HTTP"}},
		"endpoints":       []any{map[string]any{"address": "192.0.2.3", "ports": map[string]any{"http": int64(15443)}}},
		"subjectAltNames": []any{"spiffe://cluster.local/ns/bookinfo/sa/ratings"},
	})
	create(west, gatewaysGVR, "Gateway", map[string]any{
		"selector": map[string]any{"istio": "eastwestgateway"},
		"servers": []any{map[string]any{
			"port": map[string]any{"number": int64(15443), "name": "tls", "protocol": "TLS"},
			"tls":  map[string]any{"mode": "AUTO_PASSTHROUGH"}, "hosts": []any{"*.west"},
		}},
	})
	r, _ := cluster.As[cluster.Resolver](east)
	got, err := r.Resolve(t.Context(), cluster.Workload{}, "ratings.bookinfo.west", 9080)
	if err != nil {
		t.Fatal(err)
	}
	want := []cluster.Endpoint{{
		Cluster: "west", Address: "192.0.2.3:15443", Gateway: true, DataPlane: cluster.Sidecar,
		SNI: "outbound_.9080_._.ratings.bookinfo.west", Identities: []string{"spiffe://cluster.local/ns/bookinfo/sa/ratings"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	answer, err := call(t.Context(), east, identity(t, set, edgeOf(cluster.Sidecar).From), got[0])
	if err != nil || answer != "west/bookinfo/ratings-v1" {
		t.Errorf("%q, %v", answer, err)
	}
}
