// SPDX-License-Identifier: Apache-2.0

package federate_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/federate"
	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
)

var errKilled = errors.New("killed")

// stride is how many crash points there are to one that is tried: the race
// detector makes each cost ten times as much, and without it all are tried.
func stride() int {
	if race || testing.Short() {
		return 3
	}
	return 1
}

// undisturbed is the end state of an Apply that nothing disturbs.
var undisturbed struct {
	once   sync.Once
	shapes map[string]string
}

// uninterrupted returns it; the first test that asks makes it.
func uninterrupted(t *testing.T) map[string]string {
	t.Helper()
	undisturbed.once.Do(func() {
		set := mesh(t)
		apply(t, set, options(t), nil)
		undisturbed.shapes = shapes(t, snapshot(t, set))
	})
	if len(undisturbed.shapes) == 0 {
		t.Fatal("no end state to compare with")
	}
	return undisturbed.shapes
}

// dirOptions keeps the root in a directory, and reads it anew each time, as
// another process would.
func dirOptions(t *testing.T, dir string) federate.Options {
	t.Helper()
	i, err := issuer.NewBuiltin(issuer.Dir{Path: dir}, issuer.Options{KeyType: issuer.ECDSAP256})
	if err != nil {
		t.Fatal(err)
	}
	o := options(t)
	o.Issuer = i
	return o
}

// killedAfter applies, or rolls back, and dies after k writes; it tells
// whether it came to that.
func killedAfter(t *testing.T, set *cluster.Set, k int, do func(context.Context, *cluster.Set) error) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := &faults{before: func(n int, _ string) error {
		if n > k {
			cancel()
			return errKilled
		}
		return nil
	}}
	err := do(ctx, f.wrap(set))
	if err == nil {
		return false
	}
	if !errors.Is(err, errKilled) && !errors.Is(err, context.Canceled) {
		t.Fatalf("after %d writes: %v", k, err)
	}
	return true
}

func applyOn(t *testing.T, o federate.Options) func(context.Context, *cluster.Set) error {
	return func(ctx context.Context, set *cluster.Set) error {
		p, err := federate.NewPlan(ctx, set, o)
		if err != nil {
			t.Fatal(err)
		}
		return federate.Apply(ctx, p, nil)
	}
}

// Whenever Apply is killed, the next one ends where an uninterrupted one does,
// with the same root and the same CA keys.
func TestApplyContinues(t *testing.T) {
	t.Parallel()
	want := uninterrupted(t)
	for k, killed := 0, true; killed; k += 6 * stride() {
		t.Run(fmt.Sprintf("killed-after-%d", k), func(t *testing.T) {
			set, dir := mesh(t), filepath.Join(t.TempDir(), "root")
			first := dirOptions(t, dir)
			first.NoVerify = true
			if killed = killedAfter(t, set, k, applyOn(t, first)); !killed {
				return
			}
			root, err := first.Issuer.Current(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			keys := caKeys(snapshot(t, set))

			apply(t, set, dirOptions(t, dir), nil)
			after := snapshot(t, set)
			if diff := cmp.Diff(want, shapes(t, after)); diff != "" {
				t.Errorf("end state (-uninterrupted +continued):\n%s", diff)
			}
			again, err := dirOptions(t, dir).Issuer.Current(t.Context())
			if err != nil || !again.Equal(root) {
				t.Errorf("another root than before (%v)", err)
			}
			now := caKeys(after)
			for where, key := range keys {
				if now[where] != key {
					t.Errorf("%s has another CA key than before", where)
				}
			}
			p, err := federate.NewPlan(t.Context(), set, dirOptions(t, dir))
			if err != nil || !p.Empty() {
				t.Errorf("something is left to do: %v\n%s", err, p)
			}
		})
	}
}

// An Apply that is killed after each single write, and begun again, comes to the same end, with
// one root and one CA key per cluster all the way.
func TestApplyKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	want := uninterrupted(t)
	set, dir := mesh(t), filepath.Join(t.TempDir(), "root")
	var keys map[string]string
	rounds := 0
	for killed := true; killed; rounds++ {
		o := dirOptions(t, dir)
		o.NoVerify = true
		killed = killedAfter(t, set, stride(), applyOn(t, o))
		now := caKeys(snapshot(t, set))
		for where, key := range keys {
			if now[where] != key {
				t.Fatalf("round %d: %s has another CA key than before", rounds, where)
			}
		}
		keys = now
	}
	if rounds < 30/stride() {
		t.Errorf("only %d rounds", rounds)
	}
	if diff := cmp.Diff(want, shapes(t, snapshot(t, set))); diff != "" {
		t.Errorf("end state (-uninterrupted +continued):\n%s", diff)
	}
	if err := federate.Verify(t.Context(), set, dirOptions(t, dir), nil); err != nil {
		t.Error(err)
	}
}

// caKeys are the CA keys that a federation made, by cluster.
func caKeys(in map[string]*unstructured.Unstructured) map[string]string {
	out := map[string]string{}
	for _, c := range []string{"east", "west"} {
		for _, name := range []string{"meshprobe-ca-key", "cacerts"} {
			if o := in[c+"/secrets/istio-system/"+name]; o != nil {
				if key, ok, err := unstructured.NestedString(o.Object, "data", "ca-key.pem"); ok && err == nil {
					out[c] = key
				}
			}
		}
	}
	return out
}

// shapes are objects without what differs from run to run: what keys,
// certificates, tokens and times say.
func shapes(t *testing.T, in map[string]*unstructured.Unstructured) map[string]string {
	t.Helper()
	in = maps.Clone(in)
	for name := range in {
		o := in[name].DeepCopy()
		in[name] = o
		if data, ok := o.Object["data"].(map[string]any); ok {
			for k, v := range data {
				s, isText := v.(string)
				if _, err := base64.StdEncoding.DecodeString(s); isText && (err == nil || k == "root-cert.pem" || k == "ca.crt") {
					data[k] = "…"
				}
			}
		}
		for _, path := range [][]string{{"metadata", "annotations"}, {"spec", "template", "metadata", "annotations"}} {
			notes, ok, err := unstructured.NestedStringMap(o.Object, path...)
			if !ok || err != nil {
				continue
			}
			for _, k := range []string{"meshprobe.io/written", "meshprobe.io/settled", "meshprobe.io/ca", "kubectl.kubernetes.io/restartedAt", "kubernetes.io/service-account.uid"} {
				if _, ok := notes[k]; ok {
					notes[k] = "…"
				}
			}
			if err := unstructured.SetNestedStringMap(o.Object, notes, path...); err != nil {
				t.Fatal(err)
			}
		}
	}
	return durable(t, in)
}

// Conflicts, an overloaded server and lost answers are all retried: each write
// meets each of them once.
func TestApplyGetsOverTransientErrors(t *testing.T) {
	t.Parallel()
	want, resource := uninterrupted(t), schema.GroupResource{Resource: "things"}
	for name, fault := range map[string]struct {
		err  error
		lost bool
	}{
		"conflict":          {err: apierrors.NewConflict(resource, "x", errors.New("changed"))},
		"too-many-requests": {err: apierrors.NewTooManyRequests("later", 0)},
		"internal-error":    {err: apierrors.NewInternalError(errors.New("etcd"))},
		"lost-answer":       {err: apierrors.NewInternalError(errors.New("etcd")), lost: true},
	} {
		t.Run(name, func(t *testing.T) {
			set, o := mesh(t), options(t)
			met := map[string]bool{}
			once := func(_ int, what string) error {
				if met[what] {
					return nil
				}
				met[what] = true
				return fault.err
			}
			f := &faults{before: once}
			if fault.lost {
				f = &faults{after: once}
			}
			if err := applyOn(t, o)(t.Context(), f.wrap(set)); err != nil {
				t.Fatal(err)
			}
			if len(met) < 20 {
				t.Errorf("only %d writes met the fault: %v", len(met), slices.Sorted(maps.Keys(met)))
			}
			if diff := cmp.Diff(want, shapes(t, snapshot(t, set))); diff != "" {
				t.Errorf("end state (-undisturbed +disturbed):\n%s", diff)
			}
		})
	}
}

func TestApplyNamesStepAndCluster(t *testing.T) {
	t.Parallel()
	set, o := mesh(t), options(t)
	f := &faults{before: func(_ int, what string) error {
		if what == "create west secrets/cacerts" {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "cacerts", errors.New("read-only"))
		}
		return nil
	}}
	err := applyOn(t, o)(t.Context(), f.wrap(set))
	fe, ok := errors.AsType[*federate.Error](err)
	if !ok || fe.Step != federate.StepCACerts || fe.Cluster != "west" {
		t.Fatalf("got %v", err)
	}
	if want := `federate: cacerts: west: secrets "cacerts" is forbidden: read-only`; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	for _, w := range f.writes {
		if len(w) > 5 && w[:5] == "patch" {
			t.Errorf("%s after a step that failed", w)
		}
	}
	st, err := federate.Status(t.Context(), set, o)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{st[0].Cluster: st[0].Outstanding, st[1].Cluster: st[1].Outstanding}
	if diff := cmp.Diff(map[string]string{"east": federate.StepIstiodRestart, "west": federate.StepIntermediate}, got); diff != "" {
		t.Errorf("outstanding steps (-want +got):\n%s", diff)
	}
}
