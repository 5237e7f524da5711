// SPDX-License-Identifier: Apache-2.0

// Package federation_test federates real clusters: killed at every step and
// continued, rotated, moved to another root, rolled back and compared, byte for
// byte, while clients count the calls that fail.
package federation_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/kind"
	"github.com/meshprobe/meshprobe/pkg/federate"
	"github.com/meshprobe/meshprobe/pkg/federate/issuer"
	"github.com/meshprobe/meshprobe/pkg/probe/probetest"
	"github.com/meshprobe/meshprobe/suites/e2e/kindtest"
)

// The test binary is also what is killed: with these it applies and nothing
// else.
const (
	envMesh = "MESHPROBE_TEST_APPLY_MESH"
	envRoot = "MESHPROBE_TEST_APPLY_ROOT"
	envMove = "MESHPROBE_TEST_APPLY_MOVE" // move: to another root instead
)

var _ = probetest.Provider // its flags are those of every suite

func TestMain(m *testing.M) {
	if mesh := os.Getenv(envMesh); mesh != "" {
		if err := child(context.Background(), mesh, os.Getenv(envRoot)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child applies and prints each step as it ends.
func child(ctx context.Context, mesh, root string) error {
	found, err := kind.Find(ctx, mesh)
	if err != nil {
		return err
	}
	set, err := (&kind.Provider{Reuse: mesh}).Open(ctx, found.Topology, nil)
	if err != nil {
		return err
	}
	o, err := options(root)
	if err != nil {
		return err
	}
	told := func(e cluster.Event) {
		if e.Elapsed > 0 {
			fmt.Println("ended", e.Step)
		}
	}
	if os.Getenv(envMove) != "" {
		err = federate.Move(ctx, set, o, told)
		return errors.Join(err, set.Close(ctx))
	}
	p, err := federate.NewPlan(ctx, set, o)
	if err != nil {
		return err
	}
	err = federate.Apply(ctx, p, told)
	return errors.Join(err, set.Close(ctx))
}

func options(root string) (federate.Options, error) {
	i, err := issuer.NewBuiltin(issuer.Dir{Path: root}, issuer.Options{KeyType: issuer.ECDSAP256})
	return federate.Options{Issuer: i, Mesh: "e2e", Overlap: true, StepTimeout: 10 * time.Minute, VerifyTimeout: 5 * time.Minute}, err
}

// kills are the steps after which the child dies: as soon as one has ended in
// one cluster, while it may be under way in the other. Each continues what the
// one before has left, so that all of them together are one Apply.
func kills() []string {
	return []string{
		federate.StepRoot, federate.StepTrust, federate.StepTrustRollout, federate.StepCSR, federate.StepIntermediate, federate.StepCACerts,
		federate.StepIstiodRestart, federate.StepRootConfigMap, federate.StepGatewayRestart, federate.StepWorkloadRestart,
		federate.StepGateway, federate.StepNetwork, federate.StepRemoteSecret, federate.StepVerify, federate.StepRetire,
	}
}

// On a slow machine that many kills must do.
const (
	leastKills = 10
	killsTime  = 4 * time.Minute
)

// TestFederationOfRealClusters goes all the way: from clusters that are not
// federated and back, while clients in them call servers in a loop.
func TestFederationOfRealClusters(t *testing.T) {
	begin := time.Now()
	set := kindtest.Open(t)
	root := filepath.Join(t.TempDir(), "root")
	o, err := options(root)
	if err != nil {
		t.Fatal(err)
	}
	// A mesh that is reused may be federated.
	if err := federate.Rollback(t.Context(), set, o, nil); err != nil {
		t.Fatal(err)
	}
	if err := federate.Verify(t.Context(), set, federate.Options{VerifyTimeout: 5 * time.Second}, nil); err == nil {
		t.Fatal("the clusters trust each other before they are federated")
	}
	calls := callInALoop(t, set)
	rights := bereave(t, set.Clusters[1])
	before := snapshot(t, set)
	t.Run("killed", func(t *testing.T) { killed(t, mesh(t, set), root, calls) })
	t.Run("applied", func(t *testing.T) { applied(t, set, o) })
	t.Run("istioctl", func(t *testing.T) { likeIstioctl(t, set); readerMade(t, set.Clusters[1], rights) })
	t.Run("rotated", func(t *testing.T) { rotated(t, set, o); unharmed(t, calls, "rotate", time.Time{}) })
	t.Run("moved", func(t *testing.T) { moved(t, set, calls) })
	t.Run("rolled-back", func(t *testing.T) {
		timed(t, "rollback", func() error { return federate.Rollback(t.Context(), set, o, nil) })
		if diff := cmp.Diff(before, snapshot(t, set)); diff != "" {
			t.Errorf("not as before (-before +after):\n%s", diff)
		}
	})
	t.Logf("all of it: %s", time.Since(begin).Round(time.Second))
}

// unharmed logs how many calls were made and failed, and fails the test for those
// that failed once both roots were trusted everywhere.
func unharmed(t *testing.T, calls *traffic, what string, both time.Time) {
	t.Helper()
	if late := calls.tell(t, what, both); len(late) > 0 {
		t.Errorf("%s: %d calls failed although everybody trusted everybody", what, len(late))
	}
}

// moved goes to another root and ends the trust in the first.
func moved(t *testing.T, set *cluster.Set, calls *traffic) {
	root := filepath.Join(t.TempDir(), "next")
	o, err := options(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{federate.StepTrust, federate.StepTrustRollout, federate.StepCACerts, federate.StepWorkloadRestart} {
		begin := time.Now()
		killedAfter(t, mesh(t, set), root, step, envMove+"=1")
		t.Logf("move killed after %s (%s)", step, time.Since(begin).Round(100*time.Millisecond))
	}
	timed(t, "move again", func() error { return federate.Move(t.Context(), set, o, nil) })
	if n := former(t, set, o); n != 1 {
		t.Errorf("%d former roots are trusted after the move", n)
	}
	timed(t, "drop", func() error { return federate.Drop(t.Context(), set, o, nil) })
	if n := former(t, set, o); n != 0 {
		t.Errorf("%d former roots are trusted after all", n)
	}
	unharmed(t, calls, "move and drop", time.Time{})
	done(t, set, o)
}

func former(t *testing.T, set *cluster.Set, o federate.Options) int {
	t.Helper()
	st, err := federate.Status(t.Context(), set, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range st {
		if len(s.Former) != len(st[0].Former) {
			t.Errorf("%s trusts %d former roots, %s %d", s.Cluster, len(s.Former), st[0].Cluster, len(st[0].Former))
		}
	}
	return len(st[0].Former)
}

func timed(t *testing.T, what string, do func() error) {
	t.Helper()
	begin := time.Now()
	if err := do(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	t.Logf("%s: %s", what, time.Since(begin).Round(100*time.Millisecond))
}

func apply(ctx context.Context, set *cluster.Set, o federate.Options) error {
	p, err := federate.NewPlan(ctx, set, o)
	if err != nil {
		return err
	}
	return federate.Apply(ctx, p, nil)
}

// mesh is the name under which the clusters were made: their nodes bear it.
func mesh(t *testing.T, set *cluster.Set) string {
	t.Helper()
	c := set.Clusters[0]
	node := string(kindtest.NodeOf(t, c))
	return strings.TrimSuffix(strings.TrimPrefix(node, "meshprobe-"), "-"+c.Name()+"-control-plane")
}

func killed(t *testing.T, mesh, root string, calls *traffic) {
	var both time.Time
	first := time.Now()
	for i, step := range kills() {
		begin := time.Now()
		if i >= leastKills && begin.Sub(first) > killsTime {
			t.Logf("not killed after %s: this machine has taken %s so far", step, begin.Sub(first).Round(time.Second))
			continue
		}
		if at := killedAfter(t, mesh, root, step); step == federate.StepCSR {
			both = at // everybody trusted both roots before
		}
		t.Logf("killed after %s (%s)", step, time.Since(begin).Round(100*time.Millisecond))
	}
	unharmed(t, calls, "apply, killed again and again", both)
}

// killedAfter begins or continues to apply in another process, which is killed
// with SIGKILL when a step has ended. It returns the time of that.
func killedAfter(t *testing.T, mesh, root, step string, env ...string) (at time.Time) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), envMesh+"="+mesh, envRoot+"="+root)
	cmd.Env = append(cmd.Env, env...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "ended "+step && at.IsZero() {
			at = time.Now()
			_ = cmd.Process.Kill() // it may have ended
		}
	}
	err = cmd.Wait()
	exit, died := errors.AsType[*exec.ExitError](err)
	switch {
	case at.IsZero() || died && exit.ExitCode() != -1:
		t.Fatalf("apply, to be killed after %s: %v\n%s", step, err, said.String())
	case !died:
		t.Errorf("apply ended before it could be killed after %s", step)
	}
	return at
}

func applied(t *testing.T, set *cluster.Set, o federate.Options) {
	timed(t, "apply again", func() error { return apply(t.Context(), set, o) })
	timed(t, "verify", func() error { return federate.Verify(t.Context(), set, o, nil) })
	done(t, set, o)
	during := snapshot(t, set)
	if err := apply(t.Context(), set, o); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(during, snapshot(t, set)); diff != "" {
		t.Errorf("applying once more changed (-before +after):\n%s", diff)
	}
}

// done holds that nothing is left to do.
func done(t *testing.T, set *cluster.Set, o federate.Options) {
	t.Helper()
	p, err := federate.NewPlan(t.Context(), set, o)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Empty() {
		t.Errorf("left to do:\n%s", p)
	}
}

func rotated(t *testing.T, set *cluster.Set, o federate.Options) {
	intermediates := func() map[string]string {
		st, err := federate.Status(t.Context(), set, o)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, s := range st {
			out[s.Cluster] = issuer.SPKI(s.Intermediate) + " under " + issuer.SPKI(s.Root)
		}
		return out
	}
	before := intermediates()
	timed(t, "rotate", func() error { return federate.Rotate(t.Context(), set, o, nil) })
	timed(t, "verify", func() error { return federate.Verify(t.Context(), set, o, nil) })
	done(t, set, o)
	for name, now := range intermediates() {
		_, root, _ := strings.Cut(before[name], " under ")
		if now == before[name] || !strings.HasSuffix(now, root) {
			t.Errorf("%s: %s became %s", name, before[name], now)
		}
	}
}
