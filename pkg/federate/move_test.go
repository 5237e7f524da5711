// SPDX-License-Identifier: Apache-2.0

package federate_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/federate"
	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
)

// trusted are the roots in istio-ca-root-cert of a namespace with workloads, by
// their common names, of each cluster.
func trusted(t *testing.T, set *cluster.Set) string {
	t.Helper()
	var out []string
	for _, name := range []string{"east", "west"} {
		cm, err := kubeOf(t, set, name).Kubernetes().CoreV1().ConfigMaps("bookinfo").Get(t.Context(), "istio-ca-root-cert", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s %d", name, strings.Count(cm.Data["root-cert.pem"], "BEGIN CERTIFICATE")))
	}
	return strings.Join(out, ", ")
}

func roots(t *testing.T, set *cluster.Set, o federate.Options) []*x509.Certificate {
	t.Helper()
	st, err := federate.Status(t.Context(), set, o)
	if err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{st[0].Root, st[1].Root}
}

// With Overlap everybody trusts both roots before the first certificate of the
// new one is signed, and the old one goes after the handshakes.
func TestApplyOverlaps(t *testing.T) {
	t.Parallel()
	want, set, o := uninterrupted(t), mesh(t), options(t)
	o.Overlap = true
	var words []string
	during := map[string]string{}
	apply(t, set, o, func(e cluster.Event) {
		if len(words) == 0 || words[len(words)-1] != e.Step {
			words = append(words, e.Step)
		}
		if e.Elapsed == 0 && e.Cluster != "west" {
			during[e.Step] = trusted(t, set)
		}
	})
	if diff := cmp.Diff([]string{
		"root", "trust", "trust-rollout", "csr", "intermediate", "cacerts", "istiod-restart", "root-configmap",
		"gateway-restart", "workload-restart", "gateway", "network", "remote-secret", "verify", "retire", "retire-rollout", "verify",
	}, words); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	for step, roots := range map[string]string{"trust": "east 1, west 1", "csr": "east 2, west 2", "gateway-restart": "east 2, west 2", "retire": "east 2, west 2"} {
		if during[step] != roots {
			t.Errorf("when %s begins, %s roots are trusted, not %s", step, during[step], roots)
		}
	}
	got := shapes(t, snapshot(t, set))
	for name := range got {
		got[name] = strings.Replace(got[name], "   \"meshprobe.io/former-roots\": \"dropped\",\n", "", 1)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("end state (-at once +overlapping):\n%s", diff)
	}
}

// Whenever an Apply with Overlap is killed, the next one ends it.
func TestApplyWithOverlapContinues(t *testing.T) {
	t.Parallel()
	set, dir := mesh(t), filepath.Join(t.TempDir(), "root")
	rounds := 0
	for killed := true; killed; rounds++ {
		o := dirOptions(t, dir)
		o.Overlap = true
		killed = killedAfter(t, set, 2*stride(), applyOn(t, o))
	}
	if rounds < 20/stride() {
		t.Errorf("only %d rounds", rounds)
	}
	p, err := federate.NewPlan(t.Context(), set, dirOptions(t, dir))
	if err != nil || !p.Empty() || trusted(t, set) != "east 1, west 1" {
		t.Errorf("left to do (%v), %s roots trusted:\n%s", err, trusted(t, set), p)
	}
}

// A move goes from one root to another, however often it is killed; until Drop
// both are trusted.
func TestMoveToAnotherRoot(t *testing.T) {
	t.Parallel()
	set, old, dir := mesh(t), options(t), filepath.Join(t.TempDir(), "root")
	if err := federate.Move(t.Context(), set, dirOptions(t, dir), nil); !errors.Is(err, federate.ErrNotFederated) {
		t.Errorf("a move of what is not federated: %v", err)
	}
	apply(t, set, old, nil)
	before := snapshot(t, set)
	if err := federate.Move(t.Context(), set, old, nil); !errors.Is(err, federate.ErrSameRoot) {
		t.Errorf("a move to the same root: %v", err)
	}
	if err := federate.Drop(t.Context(), set, dirOptions(t, dir), nil); !errors.Is(err, federate.ErrNotMoved) {
		t.Errorf("to drop a root that is needed: %v", err)
	}
	if diff := cmp.Diff(before, snapshot(t, set)); diff != "" {
		t.Errorf("refusing changed (-before +after):\n%s", diff)
	}

	again := func(what string, do func(context.Context, *cluster.Set) error) {
		rounds := 0
		for killedAfter(t, set, 2*stride(), do) {
			rounds++
		}
		if rounds == 0 {
			t.Errorf("%s was never killed", what)
		}
	}
	again("move", func(ctx context.Context, set *cluster.Set) error {
		return federate.Move(ctx, set, dirOptions(t, dir), nil)
	})
	o := dirOptions(t, dir)
	root, err := o.Issuer.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range roots(t, set, o) {
		if !r.Equal(root) {
			t.Errorf("cacerts is under %s, not %s", r.Subject, root.Subject)
		}
	}
	st, err := federate.Status(t.Context(), set, o)
	if err != nil || len(st[0].Former) != 1 || st[0].Outstanding != "" || trusted(t, set) != "east 2, west 2" {
		t.Errorf("after the move: %d former roots, outstanding %q, trusted %s (%v)", len(st[0].Former), st[0].Outstanding, trusted(t, set), err)
	}
	// An Apply does not end the trust that a move keeps.
	apply(t, set, o, nil)
	if trusted(t, set) != "east 2, west 2" {
		t.Errorf("apply dropped the former root: %s", trusted(t, set))
	}
	again("drop", func(ctx context.Context, set *cluster.Set) error {
		return federate.Drop(ctx, set, dirOptions(t, dir), nil)
	})
	if trusted(t, set) != "east 1, west 1" {
		t.Errorf("after drop: %s", trusted(t, set))
	}
	if err := federate.Verify(t.Context(), set, o, nil); err != nil {
		t.Error(err)
	}
	p, err := federate.NewPlan(t.Context(), set, o)
	if err != nil || !p.Empty() {
		t.Errorf("left to do: %v\n%s", err, p)
	}
}

// Where a direction does not hold, nothing is moved and nothing dropped.
func TestMoveProvesBeforeItChanges(t *testing.T) {
	t.Parallel()
	set, o := mesh(t), options(t)
	apply(t, set, o, nil)
	next, err := issuer.NewBuiltin(&issuer.Memory{}, issuer.Options{KeyType: issuer.ECDSAP256})
	if err != nil {
		t.Fatal(err)
	}
	moved := o
	moved.Issuer, moved.VerifyTimeout = next, time.Second
	moved.Handshake = func(context.Context, cluster.Edge) error { return errors.New("no") }
	before := snapshot(t, set)
	if err := federate.Move(t.Context(), set, moved, nil); err == nil {
		t.Error("it moved")
	}
	moved.Issuer = o.Issuer
	if err := federate.Drop(t.Context(), set, moved, nil); err == nil {
		t.Error("it dropped")
	}
	if diff := cmp.Diff(before, snapshot(t, set)); diff != "" {
		t.Errorf("changed (-before +after):\n%s", diff)
	}
}
