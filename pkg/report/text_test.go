// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/pkg/probe"
)

func TestHealthyRunFitsOneScreen(t *testing.T) {
	for _, width := range []int{0, 60, 80, 120} {
		text := render(t, FormatText, Options{Width: width, Files: []string{"report.xml"}}, recorded(t, "healthy"))
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if len(lines) > screen {
			t.Errorf("width %d: %d lines", width, len(lines))
		}
		for _, l := range lines {
			if want := max(width, minWidth); width > 0 && runes(l) > want {
				t.Errorf("width %d: %d columns: %s", width, runes(l), l)
			}
		}
	}
}

// Colour adds nothing that is not there without it.
func TestColorOnlyPaints(t *testing.T) {
	for _, run := range runs(t) {
		events := recorded(t, run)
		painted := render(t, FormatText, Options{Color: true}, events)
		plain := painted
		for _, style := range []string{"\x1b[0m", "\x1b[1m", "\x1b[2m"} {
			plain = strings.ReplaceAll(plain, style, "")
		}
		for c := 31; c <= 35; c++ {
			plain = strings.ReplaceAll(plain, fmt.Sprintf("\x1b[%dm", c), "")
			plain = strings.ReplaceAll(plain, fmt.Sprintf("\x1b[1;%dm", c), "")
		}
		plain = strings.ReplaceAll(plain, "\x1b[1;2m", "")
		if diff := cmp.Diff(render(t, FormatText, Options{}, events), plain); diff != "" {
			t.Errorf("%s (-plain +stripped):\n%s", run, diff)
		}
		if painted == plain {
			t.Errorf("%s has no colour", run)
		}
	}
}

func TestTextNeutralisesTerminalControls(t *testing.T) {
	for _, evil := range []string{"\x1b[2J", "\x07", "\u202e", "\u009b31m", "\x7f", "\r", "\xff"} {
		text := render(t, FormatText, Options{}, hostile("a"+evil+"b"))
		if strings.Contains(text, evil) {
			t.Errorf("%q came through", evil)
		}
	}
}

// However large a mesh that is entirely broken, its report stays short.
func TestTextIsBounded(t *testing.T) {
	s := newText(nil, Options{})
	planned := []probe.Planned{{ID: "trust/root", Title: "all share one root"}, {ID: "handshake/mtls", Title: "mTLS is accepted"}}
	if err := s.Emit(probe.RunStarted{Planned: planned}); err != nil {
		t.Fatal(err)
	}
	counts := map[probe.Status]int{}
	for i := range 20000 {
		f := probe.Finding{
			Status: probe.Fail, ID: "trust/root", Title: "all share one root",
			Cause: probe.Cause{Code: "distinct", Title: "they do not"}, Subject: fmt.Sprintf("c%05d", i),
			Evidence: []probe.Evidence{probe.WantGot("root", "a", "b")},
		}
		switch i % 4 {
		case 1:
			f.Status, f.ID, f.BlockedBy = probe.Blocked, "handshake/mtls", fmt.Sprintf("trust/root c%05d", i-1)
		case 2:
			f.Status, f.ID, f.Reason = probe.Broken, "handshake/mtls", fmt.Sprintf("reason %d", i)
		case 3:
			f.Status, f.ID, f.Reason = probe.Skip, "handshake/mtls", fmt.Sprintf("reason %d", i)
		}
		counts[f.Status]++
		if err := s.Emit(probe.FindingDone{Finding: f}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Emit(probe.RunDone{Verdict: probe.Nonconformant, Counts: counts}); err != nil {
		t.Fatal(err)
	}
	if got := len(s.problems); got > maxProblems+len(planned)*len(probe.Statuses()) {
		t.Errorf("%d problems are kept", got)
	}
	text := string(s.render())
	for _, want := range []string{
		"c00000, c00004, c00008, c00012, c00016, c00020, 4994 more",
		"○ 5000 more checks are blocked by this: handshake 5000",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%.2000s", want, text)
		}
	}
}

// A hint names the namespace to restart: each one must be there, once.
func TestHintsOfAllSubjects(t *testing.T) {
	var events []probe.Event
	for i := range 60 {
		ns := fmt.Sprintf("ns%02d", i%6)
		events = append(events, probe.FindingDone{Finding: probe.Finding{
			Status: probe.Fail, ID: "a/b", Title: "t", Cause: probe.Cause{Code: "c"}, Subject: fmt.Sprintf("east/%s/w%02d", ns, i),
			Evidence: []probe.Evidence{probe.Text("l", "x")}, Hint: []string{"first", "restart " + ns},
		}})
	}
	events = append(events, probe.RunDone{Verdict: probe.Nonconformant, Counts: map[probe.Status]int{probe.Fail: 60}})
	text := render(t, FormatText, Options{}, events)
	for want, n := range map[string]int{
		"try    first\n": 1, "restart ns00\n": 1, "restart ns03\n": 1, "restart ns04": 0, "and alike elsewhere": 1,
	} {
		if got := strings.Count(text, want); got != n {
			t.Errorf("%q is there %d times, want %d, in:\n%s", want, got, n, text)
		}
	}
}

// A set-up that died is a report too, with its hint.
func TestSetUpDied(t *testing.T) {
	text := render(t, FormatText, Options{Version: "0.1.0"}, []probe.Event{
		probe.RunStarted{Provider: "live", Clusters: []probe.ClusterFacts{{}, {}}}, // nothing was found yet
		probe.FindingDone{Finding: probe.Finding{
			Status: probe.Broken, ID: "run/set-up", Title: "the clusters come up", Subject: "mesh",
			Reason: "context east does not exist", Hint: []string{"kubectl config get-contexts"},
		}},
		probe.RunDone{Verdict: probe.Inconclusive, Counts: map[probe.Status]int{probe.Broken: 1}, Duration: time.Second},
	})
	want := `meshprobe 0.1.0   live

? could not look: context east does not exist
    at     run/set-up
           mesh
    try    kubectl config get-contexts

? nobody knows yet: meshprobe could not look at 1 thing
  inconclusive: 1 broken in 1.00s; exit 3
`
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConclusions(t *testing.T) {
	clusters := []probe.ClusterFacts{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	edge := func(from, to string, st probe.Status) probe.Event {
		return probe.FindingDone{Finding: probe.Finding{
			Status: st, ID: "handshake/x", Title: "x", Subject: from + "/ns/x → " + to + "/ns/y", Reason: "why", BlockedBy: "q",
		}}
	}
	six := func(last probe.Status) []probe.Event {
		return []probe.Event{
			edge("a", "b", probe.Pass), edge("b", "a", probe.Pass), edge("a", "c", probe.Pass),
			edge("c", "a", probe.Pass), edge("b", "c", probe.Pass), edge("c", "b", last),
		}
	}
	for name, c := range map[string]struct {
		events   []probe.Event
		verdict  probe.Verdict
		counts   map[probe.Status]int
		clusters int
		want     string
	}{
		"two":        {six(probe.Pass), probe.Conformant, nil, 2, "✓ a and b trust each other: their workloads opened mutual TLS both ways"},
		"three":      {six(probe.Pass), probe.Conformant, nil, 3, "✓ a, b and c trust each other: their workloads opened mutual TLS in all 6 directions"},
		"one-way":    {[]probe.Event{edge("b", "a", probe.Pass)}, probe.Partial, nil, 2, "✓ every check that was asked for holds: b opened mutual TLS to a; no call the other way was tried, as far as"},
		"five-ways":  {six(probe.Skip), probe.Conformant, nil, 3, "mutual TLS was opened in 5 of 6 directions, and no call was tried in the others"},
		"one-untold": {six(probe.Skip), probe.Conformant, nil, 3, "✓ every check that was asked for holds"},
		"filtered":   {nil, probe.Conformant, nil, 3, "✓ every check that was asked for holds"},
		"partial":    {six(probe.Pass), probe.Partial, nil, 2, ", as far as meshprobe may look"},
		"untried":    {nil, probe.Inconclusive, nil, 2, "? nobody knows yet: no handshake could be tried in some direction"},
		"broken":     {six(probe.Broken), probe.Inconclusive, map[probe.Status]int{probe.Broken: 1}, 2, "? nobody knows yet: meshprobe could not look at 1 thing"},
		"strict":     {nil, probe.Nonconformant, map[probe.Status]int{probe.Warn: 2}, 2, "× warnings count as failures in this run: 2 warnings above"},
		"failed":     {six(probe.Fail), probe.Nonconformant, map[probe.Status]int{probe.Fail: 1, probe.Blocked: 2}, 2, "× 1 problem to fix, at the top; 2 checks wait for a fix"},
	} {
		t.Run(name, func(t *testing.T) {
			events := append([]probe.Event{probe.RunStarted{Clusters: clusters[:c.clusters]}}, c.events...)
			events = append(events, probe.RunDone{Verdict: c.verdict, Counts: c.counts})
			if text := render(t, FormatText, Options{Width: 140}, events); !strings.Contains(text, c.want) {
				t.Errorf("no %q in:\n%s", c.want, text)
			}
		})
	}
}

func TestWrapAndClip(t *testing.T) {
	for _, c := range []struct {
		in    string
		width int
		want  []string
	}{
		{"one two three", 7, []string{"one two", "three"}},
		{"unbreakable word", 4, []string{"unbreakable", "word"}},
		{"ä ö ü", 3, []string{"ä ö", "ü"}},
		{"as it is", 0, []string{"as it is"}},
		{"", 5, []string{""}},
		{"a  b cc", 4, []string{"a  b", "cc"}},
	} {
		if diff := cmp.Diff(c.want, wrap(c.in, c.width)); diff != "" {
			t.Errorf("wrap(%q, %d):\n%s", c.in, c.width, diff)
		}
	}
	if got := clip("äöü äöü", 5); got != "äöü…" {
		t.Errorf("clip: %q", got)
	}
}

func TestElapsed(t *testing.T) {
	for d, want := range map[time.Duration]string{
		400 * time.Microsecond:            "0ms",
		999600 * time.Microsecond:         "1000ms",
		1240 * time.Millisecond:           "1.24s",
		61*time.Second + time.Millisecond: "1m1s",
	} {
		if got := elapsed(d); got != want {
			t.Errorf("elapsed(%v) = %s, want %s", d, got, want)
		}
	}
}
