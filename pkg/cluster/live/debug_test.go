// SPDX-License-Identifier: Apache-2.0

package live

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// TestReadClusterz reads what istiod 1.31 said of its clusters, and what others
// might.
func TestReadClusterz(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	for name, tc := range map[string]struct {
		raw  string
		want []cluster.RemoteCluster
	}{
		"two": {
			raw: `[{"id":"west","secretName":"istio-system/istio-remote-secret-west","syncStatus":"syncing"},{"id":"east","secretName":"","syncStatus":"synced"}]`,
			want: []cluster.RemoteCluster{
				{ID: "east", Status: cluster.RemoteSynced},
				{ID: "west", Secret: "istio-system/istio-remote-secret-west", Status: cluster.RemoteSyncing},
			},
		},
		"none":    {raw: "[]"},
		"null":    {raw: "null"},
		"strange": {raw: `[{},{"id":"a\ud800","more":[1]}]`, want: []cluster.RemoteCluster{{}, {ID: "a\ufffd"}}},
		"long":    {raw: `[{"id":"` + long + `"}]`, want: []cluster.RemoteCluster{{ID: long[:maxSaid]}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readClusterz([]byte(tc.raw))
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
				t.Errorf("clusters (-want +got), error %v:\n%s", err, diff)
			}
		})
	}
	many := "[" + strings.Repeat(`{"id":"a"},`, 2*maxRemotes) + `{"id":"b"}]`
	if got, err := readClusterz([]byte(many)); err != nil || len(got) != maxRemotes {
		t.Errorf("kept %d clusters (%v)", len(got), err)
	}
	for _, raw := range []string{"", "{}", "404 page not found", `[{"id":1}]`, `[{"id":"a"}`} {
		if got, err := readClusterz([]byte(raw)); err == nil {
			t.Errorf("%q read as %v", raw, got)
		}
	}
}

// TestReadSyncz reads proxies as istiod 1.31 describes them, and as older ones
// do.
func TestReadSyncz(t *testing.T) {
	const raw = `[
	{"cluster_id":"east","proxy":"reviews-v1-x.bookinfo","proxy_type":"sidecar","cluster_sent":"n1","cluster_acked":"n1","resources":{
		"type.googleapis.com/envoy.config.listener.v3.Listener":{"sent":"n3","acked":"n2","sentTime":"2026-11-21T10:45:56.74Z","lastError":"no such filter"},
		"type.googleapis.com/envoy.config.cluster.v3.Cluster":{"sent":"n1","acked":"n1","sentTime":"2026-11-21T10:45:56.73Z"}}},
	{"proxy":"old.bookinfo","cluster_sent":"n1","cluster_acked":"n0","listener_sent":"n4","listener_acked":"n4"},
	{}]`
	at := time.Date(2026, time.November, 21, 10, 45, 56, 0, time.UTC)
	want := []cluster.ProxyState{
		{},
		{ID: "old.bookinfo", Resources: []cluster.ResourceState{{Type: "Cluster", Sent: "n1", Acked: "n0"}, {Type: "Listener", Sent: "n4", Acked: "n4"}}},
		{ID: "reviews-v1-x.bookinfo", Type: "sidecar", Resources: []cluster.ResourceState{
			{Type: "Cluster", Sent: "n1", Acked: "n1", At: at.Add(730 * time.Millisecond)},
			{Type: "Listener", Sent: "n3", Acked: "n2", At: at.Add(740 * time.Millisecond), Error: "no such filter"},
		}},
	}
	got, err := readSyncz([]byte(raw))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("proxies (-want +got), error %v:\n%s", err, diff)
	}
	var followed []bool
	for _, p := range got {
		for _, r := range p.Resources {
			followed = append(followed, r.Followed())
		}
	}
	if diff := cmp.Diff([]bool{false, true, true, false}, followed); diff != "" {
		t.Errorf("followed (-want +got):\n%s", diff)
	}
	var types strings.Builder
	for i := range 2 * maxResources {
		fmt.Fprintf(&types, `"t%d":{"sent":"a"},`, i)
	}
	got, err = readSyncz([]byte(`[{"resources":{` + strings.TrimSuffix(types.String(), ",") + `}}]`))
	if err != nil || len(got) != 1 || len(got[0].Resources) != maxResources {
		t.Errorf("kept %+v (%v)", got, err)
	}
	for _, raw := range []string{"", "{}", `[{"resources":[]}]`, `[{"resources":{"a":{"sentTime":"yesterday"}}}]`} {
		if got, err := readSyncz([]byte(raw)); err == nil {
			t.Errorf("%q read as %v", raw, got)
		}
	}
}

// FuzzDebug: an istiod is a peer too; what is kept of it has its bounds.
func FuzzDebug(f *testing.F) {
	f.Add([]byte(`[{"id":"west","secretName":"a/b","syncStatus":"synced","proxy":"a.b","resources":{"x.Listener":{"sent":"1","acked":"2"}}}]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if remotes, err := readClusterz(raw); err != nil && remotes != nil || len(remotes) > maxRemotes {
			t.Errorf("%d clusters, %v", len(remotes), err)
		}
		proxies, err := readSyncz(raw)
		if err != nil && proxies != nil || len(proxies) > maxProxies {
			t.Errorf("%d proxies, %v", len(proxies), err)
		}
		for _, p := range proxies {
			if len(p.ID) > 3*maxSaid || len(p.Resources) > maxResources {
				t.Errorf("%+v", p)
			}
		}
	})
}

func TestNotOffered(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	for name, tc := range map[string]struct {
		err  error
		want bool
	}{
		"closed port":  {refused, true},
		"wrapped":      {fmt.Errorf("live: %w", refused), true},
		"no such path": {statusError(404), true},
		"not allowed":  {statusError(401), true},
		"its trouble":  {statusError(500), false},
		"reset":        {&net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}, false},
		"denied":       {&cluster.DeniedError{What: "create pods/portforward"}, false},
	} {
		_, got := errors.AsType[*cluster.NotOfferedError](notOffered("x", tc.err))
		if got != tc.want {
			t.Errorf("%s: not offered %v", name, got)
		}
	}
}
