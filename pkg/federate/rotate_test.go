// SPDX-License-Identifier: Apache-2.0

package federate_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/federate"
)

// deploy copies a workload of a cluster under another name, as somebody does who
// deploys to a mesh that is federated.
func deploy(t *testing.T, set *cluster.Set, name string) {
	t.Helper()
	all := kubeOf(t, set, name).Kubernetes().AppsV1().Deployments("bookinfo")
	d, err := all.Get(t.Context(), "ratings-v1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d.ObjectMeta = metav1.ObjectMeta{Namespace: d.Namespace, Name: "newcomer", Labels: d.Labels}
	d.Spec.Template.Annotations = nil
	if _, err := all.Create(t.Context(), d, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// newKeys holds that no CA has the key any more that it had before.
func newKeys(t *testing.T, set *cluster.Set, before map[string]string) {
	t.Helper()
	for where, key := range caKeys(snapshot(t, set)) {
		if before[where] == key {
			t.Errorf("%s has the same CA key after a rotation", where)
		}
	}
}

// What was deployed when all ran with the CA in force was born with it: it is not
// restarted, and no sign of a rotation that was interrupted.
func TestNewcomersAreNotRestarted(t *testing.T) {
	t.Parallel()
	set, dir := mesh(t), filepath.Join(t.TempDir(), "root")
	o := dirOptions(t, dir)
	earlier := time.Now().Add(-90 * time.Second) // within what certificates are dated back
	o.Now = func() time.Time { return earlier }
	apply(t, set, o, nil)
	deploy(t, set, "east")
	p, err := federate.NewPlan(t.Context(), set, dirOptions(t, dir))
	if err != nil || !p.Empty() {
		t.Errorf("left to do (%v):\n%s", err, p)
	}
	before := caKeys(snapshot(t, set))
	if err := federate.Rotate(t.Context(), set, dirOptions(t, dir), nil); err != nil {
		t.Fatal(err)
	}
	newKeys(t, set, before)
}

// Somebody else's label is put back, and is no reason not to rotate.
func TestRotateMendsToo(t *testing.T) {
	t.Parallel()
	set, o := mesh(t), options(t)
	apply(t, set, o, nil)
	ns := kubeOf(t, set, "east").Kubernetes().CoreV1().Namespaces()
	root, err := ns.Get(t.Context(), "istio-system", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	delete(root.Labels, "topology.istio.io/network")
	if _, err := ns.Update(t.Context(), root, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	var r recorder
	if err := federate.Rotate(t.Context(), set, o, r.take); err != nil {
		t.Fatal(err)
	}
	if !r.told(federate.StepRotate) {
		t.Error("no rotation began")
	}
	p, err := federate.NewPlan(t.Context(), set, o)
	if err != nil || !p.Empty() {
		t.Errorf("left to do (%v):\n%s", err, p)
	}
}

// A root that is none of the clusters' is a slip: nothing is made and nothing
// changes.
func TestRotateUnderAnotherRoot(t *testing.T) {
	t.Parallel()
	set, dir := mesh(t), t.TempDir()
	apply(t, set, dirOptions(t, filepath.Join(dir, "root")), nil)
	before := snapshot(t, set)
	slip := filepath.Join(dir, "slip")
	for range 2 { // the second time there is a root, of nobody
		o := dirOptions(t, slip)
		if err := federate.Rotate(t.Context(), set, o, nil); !errors.Is(err, federate.ErrNotFederated) {
			t.Errorf("rotate under a root that is none of the clusters': %v", err)
		}
		if root, err := o.Issuer.Root(t.Context()); err != nil || root == nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(before, snapshot(t, set)); diff != "" {
		t.Errorf("changed (-before +after):\n%s", diff)
	}
}
