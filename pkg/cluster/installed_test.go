// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

func TestControlPlaneNames(t *testing.T) {
	for _, tc := range []struct {
		in         cluster.ControlPlane
		namespace  string
		configMap  string
		host       string
		runs, lost string // labels istio.io/rev of pods
	}{
		{cluster.ControlPlane{}, "istio-system", "istio", "istiod.istio-system.svc", "", "canary"},
		{cluster.ControlPlane{Revision: "default"}, "istio-system", "istio", "istiod.istio-system.svc", "default", "canary"},
		{cluster.ControlPlane{RootNamespace: "mesh", Revision: "canary"}, "mesh", "istio-canary", "istiod-canary.mesh.svc", "canary", "default"},
	} {
		want := []string{tc.namespace, tc.configMap, tc.host}
		if diff := cmp.Diff(want, []string{tc.in.Namespace(), tc.in.Named("istio"), tc.in.Host()}); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tc.in, diff)
		}
		if !tc.in.Runs(tc.runs) || tc.in.Runs(tc.lost) {
			t.Errorf("%+v: pods labelled %q are of it, %q are not", tc.in, tc.runs, tc.lost)
		}
	}
}
