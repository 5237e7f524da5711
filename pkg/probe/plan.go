// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe/spec"
)

// UsageError is a request that cannot be meant: an unknown probe, profile or
// expression. Hint says what to write instead.
type UsageError struct{ Msg, Hint string }

// Error is the message.
func (e *UsageError) Error() string { return e.Msg }

func quote(s string) string { return strconv.Quote(s) }

// Selection says which probes of a profile to run.
type Selection struct {
	Profile Profile // the zero Profile means Istio
	Run     string  // regular expression over IDs; empty means all
	Skip    []string
}

// Plan is what will run, in which order. It is immutable.
type Plan struct {
	Profile Profile
	Probes  []Probe  // in the order given to Select
	Left    []string // IDs of Must probes of the profile that were left out
	stages  [][]group
}

// group is the probes that judge one observation, each after those that it
// depends on.
type group struct {
	obs    *observation
	probes []Probe
}

// Select makes a plan of the probes of a profile. The order of all is the
// order of reports. Errors are *UsageError, or say that the probes themselves
// contradict each other.
func Select(all []Probe, sel Selection) (Plan, error) {
	if sel.Profile == (Profile{}) {
		sel.Profile = Istio
	}
	run, err := regexp.Compile(sel.Run)
	if err != nil {
		return Plan{}, &UsageError{Msg: fmt.Sprintf("--run %q is no regular expression: %v", sel.Run, err), Hint: "for example --run '^trust/'"}
	}
	ids := make([]string, len(all))
	for i, p := range all {
		ids[i] = p.ID
	}
	for _, id := range sel.Skip {
		if !slices.Contains(ids, id) {
			return Plan{}, &UsageError{Msg: "unknown probe " + quote(id), Hint: cluster.DidYouMean(id, ids)}
		}
	}
	plan := Plan{Profile: sel.Profile}
	for _, p := range all {
		switch {
		case !sel.Profile.includes(p.Meta):
		case slices.Contains(sel.Skip, p.ID) || !run.MatchString(p.ID):
			if p.Clause.Level == spec.Must {
				plan.Left = append(plan.Left, p.ID)
			}
		default:
			plan.Probes = append(plan.Probes, p)
		}
	}
	if len(plan.Probes) == 0 {
		return Plan{}, nothingLeft(sel, ids)
	}
	plan.stages, err = stages(plan.Probes)
	return plan, err
}

func nothingLeft(sel Selection, ids []string) *UsageError {
	e := &UsageError{Msg: fmt.Sprintf("--run %q matches no probe of profile %s", sel.Run, sel.Profile.Name)}
	if len(sel.Skip) > 0 {
		e.Msg = fmt.Sprintf("--run %q and --skip leave no probe of profile %s", sel.Run, sel.Profile.Name)
	}
	// People leave out the suite.
	words := slices.Clone(ids)
	for _, id := range ids {
		_, tail, _ := strings.Cut(id, "/")
		words = append(words, tail)
	}
	near, _ := cluster.Nearest(sel.Run, words)
	e.Hint = fmt.Sprintf("did you mean --run '%s$'? see: meshprobe list probes", near)
	return e
}

// stages orders the groups so that each comes after every group that one of
// its probes depends on.
func stages(probes []Probe) ([][]group, error) {
	home := map[string]string{} // probe ID → observation name
	for _, p := range probes {
		if p.obs == nil || p.judge == nil {
			return nil, fmt.Errorf("probe: %q was not made by Define", p.ID)
		}
		if _, dup := home[p.ID]; dup {
			return nil, fmt.Errorf("probe: %s is there twice", p.ID)
		}
		home[p.ID] = p.obs.name
	}
	depth := map[string]int{}
	for range len(probes) + 1 {
		if !deepen(probes, home, depth) {
			return collect(probes, depth)
		}
	}
	return nil, fmt.Errorf("probe: the After of some probes go in a circle: %v", depth)
}

// deepen moves each group behind what it depends on, and says whether one
// moved.
func deepen(probes []Probe, home map[string]string, depth map[string]int) (moved bool) {
	for _, p := range probes {
		for _, id := range p.dependencies() {
			dep, ok := home[id]
			if ok && dep != p.obs.name && depth[p.obs.name] <= depth[dep] {
				depth[p.obs.name] = depth[dep] + 1
				moved = true
			}
		}
	}
	return moved
}

func collect(probes []Probe, depth map[string]int) ([][]group, error) {
	var out [][]group
	index := map[string]int{}
	for _, p := range probes {
		d := depth[p.obs.name]
		for len(out) <= d {
			out = append(out, nil)
		}
		i, ok := index[p.obs.name]
		if !ok {
			i = len(out[d])
			index[p.obs.name] = i
			out[d] = append(out[d], group{obs: p.obs})
		}
		out[d][i].probes = append(out[d][i].probes, p)
	}
	for _, stage := range out {
		for i := range stage {
			sorted, err := inner(stage[i].probes)
			if err != nil {
				return nil, err
			}
			stage[i].probes = sorted
		}
	}
	return out, nil
}

// inner orders the probes of one group.
func inner(probes []Probe) ([]Probe, error) {
	var out []Probe
	rest := slices.Clone(probes)
	for len(rest) > 0 {
		i := slices.IndexFunc(rest, func(p Probe) bool {
			return !slices.ContainsFunc(rest, func(q Probe) bool { return slices.Contains(p.dependencies(), q.ID) })
		})
		if i < 0 {
			return nil, fmt.Errorf("probe: the After of %s and its neighbours go in a circle", rest[0].ID)
		}
		out = append(out, rest[i])
		rest = slices.Delete(rest, i, i+1)
	}
	return out, nil
}
