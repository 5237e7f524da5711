// SPDX-License-Identifier: Apache-2.0

package live

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// TestThroughWaypoint reads what istiod 1.31 told the ztunnels of east of a
// service that is behind a waypoint in both clusters.
func TestThroughWaypoint(t *testing.T) {
	const (
		host     = "ratings.shop-waypoint.svc.cluster.local"
		waypoint = "spiffe://cluster.local/ns/shop-waypoint/sa/waypoint"
	)
	near := cluster.Endpoint{
		Cluster: "east", Network: "east", DataPlane: cluster.Ambient, Waypoint: "shop-waypoint/waypoint",
		Address: "10.244.0.17:15008", Authority: "10.96.127.188:9080", Identities: []string{waypoint},
	}
	far := cluster.Endpoint{
		Cluster: "west", Network: "west", DataPlane: cluster.Ambient, Waypoint: "shop-waypoint/waypoint",
		Address: "172.18.0.3:15008", Gateway: true, Authority: host + ":9080", Identities: []string{waypoint},
		GatewayIdentities: []string{"spiffe://cluster.local/ns/istio-system/sa/eastwest-ambient"},
	}
	for name, tc := range map[string]struct {
		change func(*ambientView)
		want   []cluster.Endpoint
	}{
		"shared": {func(*ambientView) {}, []cluster.Endpoint{far, near}},
		"not shared": {func(v *ambientView) {
			v.Workloads = remove(v.Workloads, func(w ambientWorkload) bool { return w.Gateway != nil })
		}, []cluster.Endpoint{near}},
		"by address": {func(v *ambientView) {
			at := v.service("waypoint.shop-waypoint.svc.cluster.local").Addresses[0]
			v.service(host).Waypoint = &networkGateway{Address: &at, Port: 15008}
		}, []cluster.Endpoint{far, near}},
		"a waypoint that istiod does not know": {func(v *ambientView) {
			v.service(host).Waypoint.Hostname.Hostname = "nobody.shop-waypoint.svc.cluster.local"
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var v ambientView
			if err := json.Unmarshal(read(t, "ambientz-waypoint.json"), &v); err != nil {
				t.Fatal(err)
			}
			tc.change(&v)
			if diff := cmp.Diff(tc.want, v.throughWaypoint(v.service(host), 9080)); diff != "" {
				t.Errorf("endpoints (-want +got):\n%s", diff)
			}
		})
	}
}

func remove(ws []ambientWorkload, drop func(ambientWorkload) bool) []ambientWorkload {
	var kept []ambientWorkload
	for _, w := range ws {
		if !drop(w) {
			kept = append(kept, w)
		}
	}
	return kept
}
