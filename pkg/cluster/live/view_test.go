// SPDX-License-Identifier: Apache-2.0

package live

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestProxyView reads what an Envoy 1.40 under istiod 1.31 said of a service
// whose only pods are in another network.
func TestProxyView(t *testing.T) {
	var got proxyView
	if err := got.readCluster(read(t, "clusters.json")); err != nil {
		t.Fatal(err)
	}
	if err := got.readEndpoints(read(t, "endpoints.json")); err != nil {
		t.Fatal(err)
	}
	want := proxyView{
		known: true, sni: "outbound_.9080_._.ratings.shop.svc.cluster.local",
		identities: []string{"spiffe://cluster.local/ns/shop/sa/ratings"},
		endpoints:  []proxyEndpoint{{address: "172.18.0.3:15443", tls: true}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(proxyView{}, proxyEndpoint{})); diff != "" {
		t.Errorf("view (-want +got):\n%s", diff)
	}
}

// TestAmbientView reads what istiod 1.31 told ztunnels of the same service.
func TestAmbientView(t *testing.T) {
	var v ambientView
	if err := json.Unmarshal(read(t, "ambientz.json"), &v); err != nil {
		t.Fatal(err)
	}
	s := v.service("ratings.shop.svc.cluster.local")
	if s == nil {
		t.Fatal("no such service")
	}
	if diff := cmp.Diff([]string{"spiffe://cluster.local/ns/shop/sa/ratings"}, s.Names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	var gateways []string
	for _, w := range v.Workloads {
		if _, serves := w.serves(s, 9080); !serves || w.Gateway == nil {
			continue
		}
		at, ok := w.Gateway.address()
		gateways = append(append(gateways, w.ClusterID, at), v.gatewayIdentities(w.Gateway)...)
		if !ok {
			t.Error("a gateway without an address")
		}
		if _, serves := w.serves(s, 9081); serves {
			t.Error("it serves a port that the service does not have")
		}
	}
	want := []string{"hand-west", "10.96.247.158:15008", "spiffe://cluster.local/ns/istio-system/sa/eastwest-ambient"}
	if diff := cmp.Diff(want, gateways); diff != "" {
		t.Errorf("gateways (-want +got):\n%s", diff)
	}
	if v.service("cart.shop.svc.cluster.local") != nil {
		t.Error("a service that does not exist")
	}
}

// FuzzViews: a proxy and an istiod are peers, and what they say may be anything.
func FuzzViews(f *testing.F) {
	for _, name := range []string{"clusters.json", "endpoints.json", "ambientz.json", "ambientz-waypoint.json"} {
		f.Add(read(f, name))
	}
	f.Add([]byte(`{"workloads":[{"networkGateway":{},"services":{"/":{"ports":[{}]}}}],"services":[{}]}`))
	f.Fuzz(func(_ *testing.T, raw []byte) {
		var p proxyView
		_, _ = p.readCluster(raw), p.readEndpoints(raw)
		var v ambientView
		if json.Unmarshal(raw, &v) != nil {
			return
		}
		for _, s := range v.Services {
			if s.Waypoint != nil {
				v.throughWaypoint(&s, 0)
			}
			for _, w := range v.Workloads {
				w.serves(&s, 0)
				if w.Gateway != nil {
					_, _ = w.Gateway.address()
					v.gatewayIdentities(w.Gateway)
				}
			}
		}
	})
}
