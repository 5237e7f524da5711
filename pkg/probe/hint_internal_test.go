// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// TestInPlace: a command that is advised acts on the clusters that were looked at.
func TestInPlace(t *testing.T) {
	const (
		federate = "meshprobe federate plan && meshprobe federate apply    # one shared root"
		kubectl  = "kubectl --context east get pods"
	)
	for name, tc := range map[string]struct {
		clusters []cluster.ClusterSpec
		want     []string
	}{
		"embedded": {[]cluster.ClusterSpec{{Name: "east"}, {Name: "west"}}, []string{federate, kubectl}},
		"live": {[]cluster.ClusterSpec{{Name: "east", Context: "prod-e"}, {Name: "west", Context: "west"}}, []string{
			"meshprobe federate plan --contexts prod-e,west --root-dir root && meshprobe federate apply --contexts prod-e,west --root-dir root --write    # one shared root",
			"kubectl --context prod-e get pods",
		}},
		"none": {nil, []string{federate, kubectl}},
	} {
		t.Run(name, func(t *testing.T) {
			set := cluster.NewSet("test", cluster.Topology{Clusters: tc.clusters}, nil, nil)
			if diff := cmp.Diff(tc.want, inPlace([]string{federate, kubectl}, set)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
