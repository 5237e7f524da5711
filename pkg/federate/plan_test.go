// SPDX-License-Identifier: Apache-2.0

package federate_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded"
	"github.com/meshprobe/meshprobe/pkg/federate"
	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// What differs from run to run in a plan: keys, ports, days.
var varying = regexp.MustCompile(`[0-9a-f]{8,12}\b…?|127\.0\.0\.1:\d+|\d{4}-\d\d-\d\d`)

func TestPlanGolden(t *testing.T) {
	set, o := mesh(t), options(t)
	furnish(t, set)
	before := durable(t, snapshot(t, set))
	p, err := federate.NewPlan(t.Context(), set, o)
	if err != nil {
		t.Fatal(err)
	}
	got := varying.ReplaceAllString(p.String(), "*")
	golden := filepath.Join("testdata", "plan.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, durable(t, snapshot(t, set))); diff != "" {
		t.Errorf("the plan wrote something:\n%s", diff)
	}
}

func TestStatusFollowsApply(t *testing.T) {
	set, o := mesh(t), options(t)
	status := func() federate.ClusterStatus {
		st, err := federate.Status(t.Context(), set, o)
		if err != nil {
			t.Fatal(err)
		}
		return st[0]
	}
	if st := status(); st.Outstanding != federate.StepCSR || st.Root != nil || st.Problem == "" || !st.Since.IsZero() {
		t.Errorf("before: %+v", st)
	}
	apply(t, set, o, nil)
	st := status()
	root, err := o.Issuer.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.Outstanding != "" || st.Problem != "" || !st.Root.Equal(root) || st.Intermediate == nil || time.Since(st.Since) > time.Minute {
		t.Errorf("after: %+v", st)
	}
}

// clock moves by hand.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func TestApplyRenewsWhatRunsOut(t *testing.T) {
	top, err := cluster.Default(2)
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{time.Now()}
	set, err := (&embedded.Provider{}).Open(t.Context(), top, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Close(context.Background()) })
	i, err := issuer.NewBuiltin(&issuer.Memory{}, issuer.Options{KeyType: issuer.ECDSAP256, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	o := federate.Options{Issuer: i, NoVerify: true, Now: c.now}
	apply(t, set, o, nil)
	serial := func() string {
		st, err := federate.Status(t.Context(), set, o)
		if err != nil {
			t.Fatal(err)
		}
		return st[0].Intermediate.SerialNumber.String()
	}
	first := serial()
	c.at = c.at.Add(100 * 24 * time.Hour) // of 182 days
	apply(t, set, o, nil)
	if serial() != first {
		t.Error("renewed too early")
	}
	c.at = c.at.Add(30 * 24 * time.Hour)
	p, err := federate.NewPlan(t.Context(), set, o)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(p.String(), "! east istio-system/deployment istiod restarts") {
		t.Errorf("the plan does not restart istiod:\n%s", p)
	}
}

func TestRSA(t *testing.T) {
	set, o := mesh(t), options(t)
	var err error
	if o.Issuer, err = issuer.NewBuiltin(&issuer.Memory{}, issuer.Options{KeySize: 2048}); err != nil {
		t.Fatal(err)
	}
	apply(t, set, o, nil)
}

func TestRootInASecret(t *testing.T) {
	set, o := mesh(t), options(t)
	store := issuer.Secret{
		Kube: kubeOf(t, set, "west").Kubernetes(),
		Ref:  cluster.Ref{Cluster: "kind/west", Namespace: "istio-system", Name: "mesh-root"},
	}
	var err error
	if o.Issuer, err = issuer.NewBuiltin(store, issuer.Options{KeyType: issuer.ECDSAP256}); err != nil {
		t.Fatal(err)
	}
	apply(t, set, o, nil)
	if err := federate.Rollback(t.Context(), set, o, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Kube.CoreV1().Secrets("istio-system").Get(t.Context(), "mesh-root", metav1.GetOptions{}); err != nil {
		t.Errorf("rollback took the root away: %v", err)
	}
}

func TestServiceEntries(t *testing.T) {
	set, o := mesh(t), options(t)
	o.ServiceEntries = true
	apply(t, set, o, nil)
	entries := schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "serviceentries"}
	l, err := kubeOf(t, set, "east").Dynamic().Resource(entries).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(l.Items) != 1 || l.Items[0].GetName() != "ratings.bookinfo.west" {
		t.Fatalf("entries %v (%v)", l.Items, err)
	}
	c, _ := set.Cluster("east")
	r, _ := cluster.As[cluster.Resolver](c)
	ends, err := r.Resolve(t.Context(), cluster.Workload{Ref: cluster.Ref{Cluster: "east", Namespace: "bookinfo"}}, "ratings.bookinfo.west", 9080)
	if err != nil || len(ends) != 1 || ends[0].Cluster != "west" || !ends[0].Gateway || !slices.Equal(ends[0].Identities, []string{"spiffe://cluster.local/ns/bookinfo/sa/ratings"}) {
		t.Errorf("resolves to %+v (%v)", ends, err)
	}
	p, err := federate.NewPlan(t.Context(), set, o)
	if err != nil || !p.Empty() {
		t.Errorf("left to do (%v):\n%s", err, p)
	}
}

func TestRefusals(t *testing.T) {
	set, o := mesh(t), options(t)
	one := cluster.NewSet(set.Provider, set.Topology, set.Clusters[:1], nil)
	if _, err := federate.NewPlan(t.Context(), one, o); err == nil || err.Error() != "federate: 1 clusters; trust across clusters needs at least 2" {
		t.Errorf("one cluster: %v", err)
	}
	if _, err := federate.NewPlan(t.Context(), set, federate.Options{}); !errors.Is(err, federate.ErrNoIssuer) {
		t.Errorf("no issuer: %v", err)
	}
	blind := cluster.NewSet(set.Provider, set.Topology, []cluster.Cluster{struct{ cluster.Cluster }{set.Clusters[0]}, set.Clusters[1]}, nil)
	if _, err := federate.NewPlan(t.Context(), blind, o); err == nil || err.Error() != "federate: east: the provider gives no access to the Kubernetes API" {
		t.Errorf("no Kube: %v", err)
	}
}
