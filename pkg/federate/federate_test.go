// SPDX-License-Identifier: Apache-2.0

package federate_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded"
	"github.com/meshprobe/meshprobe/pkg/federate"
	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
)

func mesh(t *testing.T) *cluster.Set {
	t.Helper()
	top, err := cluster.Default(2)
	if err != nil {
		t.Fatal(err)
	}
	set, err := (&embedded.Provider{}).Open(t.Context(), top, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := set.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return set
}

// options with a root of its own in memory.
func options(t *testing.T) federate.Options {
	t.Helper()
	i, err := issuer.NewBuiltin(&issuer.Memory{}, issuer.Options{KeyType: issuer.ECDSAP256})
	if err != nil {
		t.Fatal(err)
	}
	return federate.Options{Issuer: i, StepTimeout: time.Minute, VerifyTimeout: time.Minute}
}

// apply plans and applies, and fails the test on an error.
func apply(t *testing.T, set *cluster.Set, o federate.Options, events cluster.Events) {
	t.Helper()
	p, err := federate.NewPlan(t.Context(), set, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := federate.Apply(t.Context(), p, events); err != nil {
		t.Fatal(err)
	}
}

// recorder keeps events.
type recorder struct {
	mu     sync.Mutex
	events []cluster.Event
}

func (r *recorder) take(e cluster.Event) {
	if !r.mu.TryLock() {
		panic("two events at once")
	}
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) told(step string) bool {
	return slices.ContainsFunc(r.events, func(e cluster.Event) bool { return e.Step == step })
}

func TestApplyMakesClustersTrustEachOther(t *testing.T) {
	set, o := mesh(t), options(t)
	// The proof that the proof can fail: before, no direction works.
	short := o
	short.VerifyTimeout = time.Second
	if err := federate.Verify(t.Context(), set, short, nil); err == nil {
		t.Fatal("the clusters trust each other before they are federated")
	} else if strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("want 4 directions to fail:\n%v", err)
	}

	var r recorder
	apply(t, set, o, r.take)
	if err := federate.Verify(t.Context(), set, o, nil); err != nil {
		t.Errorf("verify: %v", err)
	}

	var words []string
	for _, e := range r.events {
		if len(words) == 0 || words[len(words)-1] != e.Step {
			words = append(words, e.Step)
		}
	}
	want := []string{
		"root", "csr", "intermediate", "cacerts", "istiod-restart", "root-configmap",
		"gateway-restart", "workload-restart", "gateway", "network", "remote-secret", "verify",
	}
	if diff := cmp.Diff(want, words); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestSecondApplyWritesNothing(t *testing.T) {
	set, o := mesh(t), options(t)
	apply(t, set, o, nil)
	before := snapshot(t, set)
	p, err := federate.NewPlan(t.Context(), set, o)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Empty() || p.String() != "nothing to change\n" {
		t.Errorf("a plan after apply:\n%s", p)
	}
	apply(t, set, o, nil)
	if diff := cmp.Diff(before, snapshot(t, set)); diff != "" {
		t.Errorf("the second apply changed (-before +after):\n%s", diff)
	}
}

// Verify judges what happens on the wire: one direction that is cut, or one
// cluster that fell back to another root, is named, and nothing else.
func TestVerifyNamesTheDirection(t *testing.T) {
	set, o := mesh(t), options(t)
	apply(t, set, o, nil)
	o.VerifyTimeout = 2 * time.Second
	secrets := kubeOf(t, set, "east").Kubernetes().CoreV1().Secrets("istio-system")
	if err := secrets.Delete(t.Context(), "istio-remote-secret-west", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	err := federate.Verify(t.Context(), set, o, nil)
	want := "federate: verify: east/bookinfo/reviews → west/bookinfo/ratings (sidecar): east knows no endpoint of ratings.bookinfo.svc.cluster.local in west\n" +
		"federate: verify: east/bookinfo-ambient/reviews → west/bookinfo-ambient/ratings (ambient): east knows no endpoint of ratings.bookinfo-ambient.svc.cluster.local in west"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}

	// Another root than the one that the clusters share is not good enough.
	apply(t, set, options(t), nil)
	if err := federate.Verify(t.Context(), set, o, nil); err == nil || strings.Count(err.Error(), "federate: verify: ") != 4 {
		t.Errorf("under another root: %v", err)
	}
}
