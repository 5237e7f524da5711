// SPDX-License-Identifier: Apache-2.0

// Package e2e_test runs every probe as a feature of sigs.k8s.io/e2e-framework:
//
//	go test ./suites/...
//	go test ./suites/e2e -args -provider embedded -labels suite=trust
//	go test ./suites/e2e -args -feature '^hbone/'
//	go test ./suites/e2e -v -args -provider kind -reuse NAME
//	go test ./suites/e2e -v -args -provider live -contexts east,west
//
// meshprobe run says more: it knows which failure is the consequence of which.
package e2e_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/e2e-framework/pkg/env"
	"sigs.k8s.io/e2e-framework/pkg/envconf"
	"sigs.k8s.io/e2e-framework/pkg/features"
	"sigs.k8s.io/e2e-framework/pkg/types"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/suites"
)

// meshEnv is the environment of TestProbes; TestMain makes it, once.
var meshEnv types.Environment

// setKey is under which the context of meshEnv holds the clusters.
type setKey struct{}

func TestMain(m *testing.M) {
	var err error
	if meshEnv, err = env.NewFromFlags(); err != nil {
		fmt.Fprintln(os.Stderr, "suites/e2e:", err)
		os.Exit(2)
	}
	os.Exit(meshEnv.Run(m))
}

// TestProbes runs each probe as a feature, with its level and suite as labels.
func TestProbes(t *testing.T) {
	var all []types.Feature
	for _, p := range suites.Mesh() {
		all = append(all, features.New(p.ID).
			WithLabel("suite", p.Suite()).
			WithLabel("level", p.Clause.Level.String()).
			Assess(p.Title, assess(p)).
			Feature())
	}
	set := openMesh(t)
	meshEnv.BeforeEachTest(func(ctx context.Context, _ *envconf.Config, _ *testing.T) (context.Context, error) { //nolint:thelper // e2e-framework has this order
		return context.WithValue(ctx, setKey{}, set), nil
	})
	meshEnv.Test(t, all...)
}

// assess runs one probe over all its subjects.
func assess(p probe.Probe) features.Func {
	return func(ctx context.Context, t *testing.T, _ *envconf.Config) context.Context {
		t.Helper()
		set, ok := ctx.Value(setKey{}).(*cluster.Set)
		if !ok {
			t.Fatal("there are no clusters")
		}
		found, err := alone(t, set, p)
		if err != nil {
			t.Fatal(err)
		}
		tell(t, found)
		return ctx
	}
}

// alone runs a plan of one probe, whatever its profiles.
func alone(t *testing.T, set *cluster.Set, p probe.Probe) ([]probe.Finding, error) {
	t.Helper()
	p.Profiles = nil
	plan, err := probe.Select([]probe.Probe{p}, probe.Selection{})
	if err != nil {
		return nil, err
	}
	sink := &findings{}
	_, err = (&probe.Runner{Sink: sink}).Run(t.Context(), probe.RunStarted{Provider: set.Provider}, plan,
		func(ctx context.Context, _ func(probe.Progress)) (*probe.Env, error) {
			return probe.NewEnv(ctx, set, nil, nil)
		})
	return sink.all, err
}

// tester is what tell needs of a testing.T.
type tester interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Skip(args ...any)
}

// tell maps findings to a test: a failure, or a look that was not possible, is
// an error; a test is skipped where nothing but skips is left.
func tell(t tester, found []probe.Finding) {
	t.Helper()
	if len(found) == 0 {
		t.Errorf("the probe said nothing")
		return
	}
	var reasons []string
	for _, f := range found {
		switch f.Status {
		case probe.Pass:
		case probe.Skip:
			reasons = append(reasons, f.Subject+": "+f.Reason)
		case probe.Warn, probe.Note, probe.Pending:
			t.Logf("%s", described(f))
		default:
			t.Errorf("%s", described(f))
		}
	}
	if len(reasons) == len(found) {
		t.Skip(strings.Join(reasons, "\n"))
	}
}

// described is a finding with what it rests on and what helps.
func described(f probe.Finding) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s\n", f.Status, f.Subject, f.Title)
	if f.Cause.Code != "" {
		fmt.Fprintf(&b, "  cause  %s: %s\n", f.Cause.Code, f.Cause.Title)
	}
	if f.Reason != "" {
		fmt.Fprintf(&b, "  reason %s\n", f.Reason)
	}
	if f.BlockedBy != "" {
		fmt.Fprintf(&b, "  blocked by %s\n", f.BlockedBy)
	}
	for _, e := range f.Evidence {
		fmt.Fprintf(&b, "  %s\n", e.Label)
		if e.Want != "" {
			fmt.Fprintf(&b, "    want %s\n", e.Want)
		}
		fmt.Fprintf(&b, "    got  %s\n", e.Got)
	}
	for _, h := range f.Hint {
		fmt.Fprintf(&b, "  try    %s\n", h)
	}
	return b.String()
}
