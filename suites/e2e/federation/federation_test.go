// SPDX-License-Identifier: Apache-2.0

// Package federation_test federates real clusters: killed at every step and
// continued, rotated, rolled back and compared, byte for byte.
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
	p, err := federate.NewPlan(ctx, set, o)
	if err != nil {
		return err
	}
	err = federate.Apply(ctx, p, func(e cluster.Event) {
		if e.Elapsed > 0 {
			fmt.Println("ended", e.Step)
		}
	})
	return errors.Join(err, set.Close(ctx))
}

func options(root string) (federate.Options, error) {
	i, err := issuer.NewBuiltin(issuer.Dir{Path: root}, issuer.Options{KeyType: issuer.ECDSAP256})
	return federate.Options{Issuer: i, Mesh: "e2e", NoVerify: true, StepTimeout: 10 * time.Minute, VerifyTimeout: 5 * time.Minute}, err
}

// kills are where the child dies: as soon as the step has ended in one cluster,
// while it may be under way in the other, or a moment later.
var kills = []struct {
	step  string
	later time.Duration
}{
	{federate.StepRoot, 0},
	{federate.StepCSR, 0},
	{federate.StepCSR, 40 * time.Millisecond},
	{federate.StepIntermediate, 0},
	{federate.StepCACerts, 0},
	{federate.StepCACerts, time.Second},
	{federate.StepIstiodRestart, 0},
	{federate.StepIstiodRestart, time.Second},
	{federate.StepRootConfigMap, 0},
	{federate.StepGatewayRestart, 0},
	{federate.StepGatewayRestart, time.Second},
	{federate.StepWorkloadRestart, 0},
	{federate.StepGateway, 0},
	{federate.StepNetwork, 0},
	{federate.StepRemoteSecret, 0},
}

// TestFederationOfRealClusters goes all the way on clusters of its own.
func TestFederationOfRealClusters(t *testing.T) {
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
	before := snapshot(t, set)
	if err := federate.Verify(t.Context(), set, federate.Options{VerifyTimeout: 5 * time.Second}, nil); err == nil {
		t.Fatal("the clusters trust each other before they are federated")
	}
	t.Run("killed", func(t *testing.T) { killed(t, mesh(t, set), root) })
	t.Run("applied", func(t *testing.T) { applied(t, set, o) })
	t.Run("istioctl", func(t *testing.T) { likeIstioctl(t, set) })
	t.Run("rotated", func(t *testing.T) { rotated(t, set, o) })
	t.Run("rolled-back", func(t *testing.T) {
		timed(t, "rollback", func() error { return federate.Rollback(t.Context(), set, o, nil) })
		if diff := cmp.Diff(before, snapshot(t, set)); diff != "" {
			t.Errorf("not as before (-before +after):\n%s", diff)
		}
	})
	t.Run("in-one-go", func(t *testing.T) {
		// What is compared with doing it by hand.
		timed(t, "apply from nothing", func() error { return apply(t.Context(), set, o) })
		timed(t, "verify", func() error { return federate.Verify(t.Context(), set, o, nil) })
		timed(t, "rollback", func() error { return federate.Rollback(t.Context(), set, o, nil) })
	})
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

func killed(t *testing.T, mesh, root string) {
	for _, k := range kills {
		begin := time.Now()
		if !killedAt(t, mesh, root, k.step, k.later) {
			t.Errorf("apply ended before it could be killed after %s", k.step)
		}
		t.Logf("killed %s after %s (%s)", k.later, k.step, time.Since(begin).Round(100*time.Millisecond))
	}
}

// killedAt begins or continues to apply in another process, which is killed with
// SIGKILL.
func killedAt(t *testing.T, mesh, root, step string, later time.Duration) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), envMesh+"="+mesh, envRoot+"="+root)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reached := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "ended "+step && !reached {
			reached = true
			<-time.After(later)
			_ = cmd.Process.Kill() // it may have ended
		}
	}
	err = cmd.Wait()
	exit, died := errors.AsType[*exec.ExitError](err)
	if !reached || died && exit.ExitCode() != -1 {
		t.Fatalf("apply, to be killed after %s: %v\n%s", step, err, said.String())
	}
	return died
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
