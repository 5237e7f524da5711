// SPDX-License-Identifier: Apache-2.0

package live

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

func served(of, name string, dp cluster.DataPlane, mode cluster.MTLSMode) cluster.Workload {
	return cluster.Workload{
		Ref: cluster.Ref{Cluster: of, Namespace: "shop", Name: name}, ServiceAccount: name, DataPlane: dp, MTLS: mode,
		Service: &cluster.Service{Name: name, Host: name + ".shop.svc.cluster.local", Port: 80},
	}
}

// TestDerive: a destination that has disabled mutual TLS everywhere is called, too,
// for a check that leaves it out calls the mesh conformant.
func TestDerive(t *testing.T) {
	from := []cluster.Workload{served("east", "client", cluster.Sidecar, cluster.Strict)}
	for name, tc := range map[string]struct {
		to   []cluster.Workload
		want string
	}{
		"takes mutual TLS": {[]cluster.Workload{
			served("west", "off", cluster.Sidecar, cluster.Disable), served("west", "on", cluster.Sidecar, cluster.Permissive),
		}, "on"},
		"disabled everywhere": {[]cluster.Workload{served("west", "off", cluster.Sidecar, cluster.Disable)}, "off"},
		"outside the mesh":    {[]cluster.Workload{served("west", "plain", cluster.NoMesh, "")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e, _ := derive(from, tc.to, cluster.Sidecar)
			if diff := cmp.Diff(tc.want, e.To.Name); diff != "" {
				t.Errorf("the service that is called (-want +got):\n%s", diff)
			}
		})
	}
}

// TestUntried says why there is no call to try.
func TestUntried(t *testing.T) {
	meshed, plain := served("east", "a", cluster.Sidecar, cluster.Strict), served("east", "b", cluster.NoMesh, "")
	other := served("west", "c", cluster.Ambient, cluster.Strict)
	for _, tc := range []struct {
		from, to []cluster.Workload
		want     string
	}{
		{[]cluster.Workload{plain}, []cluster.Workload{other}, "no pod here is in the mesh"},
		{[]cluster.Workload{meshed}, []cluster.Workload{plain}, "no service there has pods in the mesh"},
		{[]cluster.Workload{meshed}, []cluster.Workload{other}, "no service there has pods of a data plane that pods here are of"},
	} {
		if diff := cmp.Diff(tc.want, untried(tc.from, tc.to)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
