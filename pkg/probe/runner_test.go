// SPDX-License-Identifier: Apache-2.0

package probe_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place is a subject of the tests: its text is its only part.
type place string

func (p place) String() string  { return string(p) }
func (p place) Parts() []string { return strings.Split(string(p), " → ") }

func over(places ...place) func(*probe.Env) iter.Seq[place] {
	return func(*probe.Env) iter.Seq[place] { return slices.Values(places) }
}

// echo observes the text of its subject.
func echo(_ context.Context, _ *probe.Env, p place) (string, error) { return p.String(), nil }

var causeBad = probe.Cause{Code: "bad", Title: "it is bad", Try: []string{"mend {{.Cluster}} {{.What}}"}}

// failOn judges echoes: those listed fail.
func failOn(bad ...string) func(string) []probe.Finding {
	return func(s string) []probe.Finding {
		if slices.Contains(bad, s) {
			return []probe.Finding{probe.Failing(causeBad, probe.WantGot("state", "good", "bad")).With("What", s)}
		}
		return []probe.Finding{probe.Passing()}
	}
}

func meta(id string, after ...string) probe.Meta {
	return probe.Meta{
		ID: id, Title: id + " holds", Clause: spec.Clause{Doc: "Test", Section: "1", Level: spec.Must},
		Causes: []probe.Cause{causeBad}, After: after, Applies: "places",
	}
}

// sink remembers events.
type sink struct{ events []probe.Event }

func (s *sink) Emit(e probe.Event) error { s.events = append(s.events, e); return nil }
func (s *sink) Close() error             { return nil }

func (s *sink) lines() []string {
	var out []string
	for _, e := range s.events {
		if f, ok := e.(probe.FindingDone); ok {
			l := fmt.Sprintf("%s [%s] %s", f.Finding.ID, f.Finding.Subject, f.Finding.Status)
			if f.Finding.BlockedBy != "" {
				l += " by " + f.Finding.BlockedBy
			}
			if f.Finding.Reason != "" {
				l += ": " + f.Finding.Reason
			}
			out = append(out, l)
		}
	}
	slices.Sort(out)
	return out
}

func noSetup(context.Context, func(probe.Progress)) (*probe.Env, error) {
	return probe.NewEnv(context.Background(), cluster.NewSet("test", cluster.Topology{}, nil, nil), nil, nil)
}

func run(t *testing.T, r probe.Runner, setup probe.Setup, probes ...probe.Probe) (*sink, probe.Summary) {
	t.Helper()
	plan, err := probe.Select(probes, probe.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{}
	r.Sink = s
	sum, err := r.Run(t.Context(), probe.RunStarted{}, plan, setup)
	if err != nil {
		t.Fatal(err)
	}
	return s, sum
}

func TestRunBlocksConsequencesOnTheSameSubjectOnly(t *testing.T) {
	s, sum := run(t, probe.Runner{}, noSetup,
		probe.Define(meta("c/last", "b/middle"), over("east/a/x → west/a/y", "north/a/x → south/a/y"), echo, failOn()),
		probe.Define(meta("a/first"), over("east", "north"), echo, failOn("east")),
		probe.Define(meta("b/middle", "a/first"), over("east → west", "north → south"), echo, failOn()),
	)
	want := []string{
		"a/first [east] fail",
		"a/first [north] pass",
		"b/middle [east → west] blocked by a/first east",
		"b/middle [north → south] pass",
		"c/last [east/a/x → west/a/y] blocked by a/first east",
		"c/last [north/a/x → south/a/y] pass",
	}
	if diff := cmp.Diff(want, s.lines()); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if sum.Verdict != probe.Nonconformant || sum.ExitStatus() != 1 {
		t.Errorf("verdict %s, exit %d", sum.Verdict, sum.ExitStatus())
	}
	for _, e := range s.events {
		if f, ok := e.(probe.FindingDone); ok && f.Finding.Status == probe.Fail {
			if diff := cmp.Diff([]string{"mend east east"}, f.Finding.Hint); diff != "" {
				t.Errorf("hint (-want +got):\n%s", diff)
			}
		}
	}
}

func TestDirectionMatters(t *testing.T) {
	s, _ := run(t, probe.Runner{}, noSetup,
		probe.Define(meta("a/one-way"), over("east → west"), echo, failOn("east → west")),
		probe.Define(meta("b/call", "a/one-way"), over("east/x → west/x", "west/x → east/x"), echo, failOn()),
	)
	want := []string{
		"a/one-way [east → west] fail",
		"b/call [east/x → west/x] blocked by a/one-way east → west",
		"b/call [west/x → east/x] pass",
	}
	if diff := cmp.Diff(want, s.lines()); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestAfterToBlocksCallsIntoTheSubjectOnly(t *testing.T) {
	m := meta("b/call")
	m.AfterTo = []string{"a/first"}
	s, _ := run(t, probe.Runner{}, noSetup,
		probe.Define(m, over("east/x → west/x", "west/x → east/x"), echo, failOn()),
		probe.Define(meta("a/first"), over("east"), echo, failOn("east")),
	)
	want := []string{
		"a/first [east] fail",
		"b/call [east/x → west/x] pass",
		"b/call [west/x → east/x] blocked by a/first east",
	}
	if diff := cmp.Diff(want, s.lines()); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestSharedObservationIsMadeOnce(t *testing.T) {
	seen := 0
	obs := probe.Observation[place, string]{Name: "shared", Over: over("east"), Observe: func(ctx context.Context, env *probe.Env, p place) (string, error) {
		seen++
		return echo(ctx, env, p)
	}}
	s, _ := run(t, probe.Runner{Parallel: 1}, noSetup,
		probe.DefineOn(meta("a/two", "a/one"), obs, failOn()),
		probe.DefineOn(meta("a/one"), obs, failOn("east")),
		probe.DefineOn(meta("a/three"), obs, failOn()),
	)
	want := []string{"a/one [east] fail", "a/three [east] pass", "a/two [east] blocked by a/one east"}
	if diff := cmp.Diff(want, s.lines()); diff != "" || seen != 1 {
		t.Errorf("observed %d times, findings (-want +got):\n%s", seen, diff)
	}
}

func TestNothingInvalidLeavesTheEngine(t *testing.T) {
	say := func(fs ...probe.Finding) func(string) []probe.Finding {
		return func(string) []probe.Finding { return fs }
	}
	should := meta("a/should")
	should.Clause.Level = spec.Should
	undeclared := probe.Cause{Code: "other"}
	none := probe.Define(meta("a/none"), over(), echo, failOn())
	s, sum := run(t, probe.Runner{}, noSetup,
		probe.Define(meta("a/empty"), over("east"), echo, say()),
		probe.Define(meta("a/zero"), over("east"), echo, say(probe.Finding{})),
		probe.Define(meta("a/no-cause"), over("east"), echo, say(probe.Finding{Status: probe.Fail})),
		probe.Define(meta("a/undeclared"), over("east"), echo, say(probe.Failing(undeclared, probe.Text("x", "y")))),
		probe.Define(meta("a/panic"), over("east"), echo, func(string) []probe.Finding { panic("boom") }),
		probe.Define(meta("a/panic-observe"), over("east"), func(context.Context, *probe.Env, place) (string, error) { panic("bang") }, failOn()),
		probe.Define(meta("a/denied"), over("east"), func(context.Context, *probe.Env, place) (string, error) {
			return "", fmt.Errorf("read: %w", &probe.DeniedError{What: "get secrets"})
		}, failOn()),
		probe.Define(meta("a/error"), over("east"), func(context.Context, *probe.Env, place) (string, error) { return "", errors.New("dead api") }, failOn()),
		probe.Define(should, over("east"), echo, failOn("east")),
		none,
	)
	want := []string{
		"a/denied [east] skip: missing permission: get secrets",
		"a/empty [east] broken: the judge of a/empty said nothing",
		"a/error [east] broken: dead api",
		"a/no-cause [east] broken: the judge of a/no-cause said fail without cause or evidence",
		"a/none [mesh] skip: there are no places in this topology",
		"a/panic [east] broken: panic in judge: boom",
		"a/panic-observe [east] broken: panic in observation a/panic-observe: bang",
		"a/should [east] warn",
		"a/undeclared [east] broken: the judge of a/undeclared named the cause other, which it does not declare",
		"a/zero [east] broken: the judge of a/zero returned no status",
	}
	if diff := cmp.Diff(want, s.lines()); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if sum.Verdict != probe.Inconclusive || sum.ExitStatus() != 3 {
		t.Errorf("verdict %s", sum.Verdict)
	}
}

func TestSetupThatDiesIsOneBrokenFinding(t *testing.T) {
	for name, setup := range map[string]probe.Setup{
		"error": func(_ context.Context, progress func(probe.Progress)) (*probe.Env, error) {
			progress(probe.Progress{Step: "cacerts"})
			return nil, errors.New("no room")
		},
		"panic": func(context.Context, func(probe.Progress)) (*probe.Env, error) { panic("no room") },
	} {
		t.Run(name, func(t *testing.T) {
			s, sum := run(t, probe.Runner{}, setup, probe.Define(meta("a/x"), over("east"), echo, failOn()))
			if got := s.lines(); len(got) != 1 || !strings.HasPrefix(got[0], "run/set-up [mesh] broken: ") || !strings.HasSuffix(got[0], "no room") {
				t.Errorf("findings: %q", got)
			}
			if _, ok := s.events[len(s.events)-1].(probe.RunDone); !ok || sum.ExitStatus() != 3 {
				t.Errorf("last event %T, exit %d", s.events[len(s.events)-1], sum.ExitStatus())
			}
		})
	}
}

func TestInterruptEndsObservingAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	hang := func(ctx context.Context, _ *probe.Env, p place) (string, error) {
		if p == "east" {
			cancel()
		}
		<-ctx.Done()
		return "", ctx.Err()
	}
	plan, err := probe.Select([]probe.Probe{
		probe.Define(meta("a/x"), over("east", "west"), hang, failOn()),
		probe.Define(meta("b/y", "a/x"), over("east"), echo, failOn()),
	}, probe.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{}
	sum, err := (&probe.Runner{Sink: s, Parallel: 1}).Run(ctx, probe.RunStarted{}, plan, noSetup)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"a/x [east] broken: interrupted", "a/x [west] broken: interrupted", "b/y [east] broken: interrupted"}
	if diff := cmp.Diff(want, s.lines()); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if !sum.Interrupted || sum.ExitStatus() != 3 {
		t.Errorf("interrupted %t, exit %d", sum.Interrupted, sum.ExitStatus())
	}
}

func TestPendingConvergesOrFails(t *testing.T) {
	judge := func(n int) []probe.Finding {
		if n >= 3 {
			return []probe.Finding{probe.Passing()}
		}
		return []probe.Finding{probe.Pend(causeBad, time.Unix(60, 0), probe.Text("n", fmt.Sprint(n)))}
	}
	for _, tc := range []struct {
		name string
		wait time.Duration
		step int
		want string
	}{
		{"no-wait", 0, 1, "a/x [east] pending: not yet; a failure from 1970-01-01T00:01:00Z"},
		{"converges", time.Minute, 1, "a/x [east] pass"},
		{"outlasts", time.Minute, 0, "a/x [east] fail"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				count := func(context.Context, *probe.Env, place) (int, error) { n += tc.step; return n, nil }
				s, _ := run(t, probe.Runner{Wait: tc.wait}, noSetup, probe.Define(meta("a/x"), over("east"), count, judge))
				if diff := cmp.Diff([]string{tc.want}, s.lines()); diff != "" {
					t.Errorf("findings (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestDirectionWithoutHandshakeIsInconclusive(t *testing.T) {
	ref := func(c, n string) cluster.Ref { return cluster.Ref{Cluster: c, Namespace: "shop", Name: n} }
	set := cluster.NewSet("test", cluster.Topology{Edges: []cluster.Edge{
		{From: ref("east", "a"), To: ref("west", "b"), DataPlane: cluster.Sidecar},
		{From: ref("west", "a"), To: ref("east", "b"), DataPlane: cluster.Sidecar},
	}}, nil, nil)
	setup := func(ctx context.Context, _ func(probe.Progress)) (*probe.Env, error) {
		return probe.NewEnv(ctx, set, nil, nil)
	}
	observe := func(_ context.Context, _ *probe.Env, e cluster.Edge) (string, error) { return e.From.Cluster, nil }
	skipWest := func(s string) []probe.Finding {
		if s == "west" {
			return []probe.Finding{probe.Skipping("no agent")}
		}
		return []probe.Finding{probe.Passing()}
	}
	m := meta("a/x")
	m.Proves = true
	none := cluster.NewSet("test", cluster.Topology{Clusters: []cluster.ClusterSpec{{Name: "east"}, {Name: "west"}}}, nil, nil)
	nothing := func(ctx context.Context, _ func(probe.Progress)) (*probe.Env, error) {
		return probe.NewEnv(ctx, none, nil, nil)
	}
	if _, sum := run(t, probe.Runner{}, nothing, probe.Define(m, probe.Edges(cluster.Sidecar), observe, skipWest)); sum.Verdict != probe.Inconclusive {
		t.Errorf("verdict %s, want inconclusive: no edge leads anywhere", sum.Verdict)
	}
	_, sum := run(t, probe.Runner{}, setup, probe.Define(m, probe.Edges(cluster.Sidecar), observe, skipWest))
	if sum.Verdict != probe.Inconclusive {
		t.Errorf("verdict %s, want inconclusive: west → east was never tried", sum.Verdict)
	}
	_, sum = run(t, probe.Runner{}, setup, probe.Define(m, probe.Edges(cluster.Sidecar), observe, failOn()))
	if sum.Verdict != probe.Conformant {
		t.Errorf("verdict %s, want conformant", sum.Verdict)
	}
}

func TestReplayJudgesTheSame(t *testing.T) {
	probes := []probe.Probe{
		probe.Define(meta("a/first"), over("east", "west"), echo, failOn("east")),
		probe.Define(meta("b/then", "a/first"), over("east/x", "west/x"), echo, failOn("west/x")),
		probe.Define(meta("c/error"), over("east"), func(context.Context, *probe.Env, place) (string, error) { return "", errors.New("dead api") }, failOn()),
		probe.Define(meta("d/none"), over(), echo, failOn()),
	}
	plan, err := probe.Select(probes, probe.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir() + "/record"
	rec, err := probe.NewRecorder(dir)
	if err != nil {
		t.Fatal(err)
	}
	live := &sink{}
	first, err := (&probe.Runner{Sink: live, Recorder: rec}).Run(t.Context(), probe.RunStarted{Provider: "test"}, plan, noSetup)
	if err != nil {
		t.Fatal(err)
	}
	record, err := probe.ReadRecord(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	again := &sink{}
	second, err := (&probe.Runner{Sink: again}).Replay(t.Context(), record, plan)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(live.lines(), again.lines()); diff != "" {
		t.Errorf("replay (-live +replayed):\n%s", diff)
	}
	if first.Verdict != second.Verdict {
		t.Errorf("verdict %s, replayed %s", first.Verdict, second.Verdict)
	}
	if _, err := probe.NewRecorder(dir); err == nil {
		t.Error("a second run may record over the first")
	}
	if _, err := probe.ReadRecord(os.DirFS(t.TempDir())); err == nil || !strings.Contains(err.Error(), "not a record directory") {
		t.Errorf("an empty directory reads as a record: %v", err)
	}
}

func TestSelect(t *testing.T) {
	a := probe.Define(meta("a/x"), over("east"), echo, failOn())
	b := probe.Define(meta("b/y"), over("east"), echo, failOn())
	circle := []probe.Probe{
		probe.Define(meta("a/x", "b/y"), over("east"), echo, failOn()),
		probe.Define(meta("b/y", "a/x"), over("east"), echo, failOn()),
	}
	for name, tc := range map[string]struct {
		probes []probe.Probe
		sel    probe.Selection
		want   string
	}{
		"unknown-skip": {[]probe.Probe{a, b}, probe.Selection{Skip: []string{"a/y"}}, `unknown probe "a/y"`},
		"bad-regexp":   {[]probe.Probe{a, b}, probe.Selection{Run: "("}, `--run "(" is no regular expression`},
		"nothing-left": {[]probe.Probe{a, b}, probe.Selection{Run: "^c"}, `--run "^c" matches no probe`},
		"twice":        {[]probe.Probe{a, a}, probe.Selection{}, "a/x is there twice"},
		"circle":       {circle, probe.Selection{}, "go in a circle"},
		"not-defined":  {[]probe.Probe{{Meta: meta("a/x")}}, probe.Selection{}, "was not made by Define"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := probe.Select(tc.probes, tc.sel); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
	plan, err := probe.Select([]probe.Probe{a, b}, probe.Selection{Skip: []string{"a/x"}})
	if err != nil || !slices.Equal(plan.Left, []string{"a/x"}) || len(plan.Probes) != 1 {
		t.Errorf("plan %v, err %v: a skipped Must probe is remembered", plan.Left, err)
	}
	if _, err := probe.ParseProfile("ambiant"); err == nil {
		t.Error("unknown profile accepted")
	}
}
