// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// job is one observation to make, for all the probes of a group.
type job struct {
	group   group
	subject Subject // nil: there is nothing to observe
	index   int     // of the subject, from 1
}

// outcome is what came of a job.
type outcome struct {
	job      job
	findings []Finding
	record   observed
}

// exhibit is what was observed, where it is to be shown.
func (o *outcome) exhibit() (Exhibit, bool) {
	kind := o.job.group.obs.exhibit
	if kind == "" || o.record.value == nil || o.record.err != nil {
		return Exhibit{}, false
	}
	return Exhibit{Kind: kind, Subject: o.job.subject.String(), Index: o.job.index, Value: o.record.value}, true
}

// do observes once and lets every probe of the group judge.
func (r *run) do(ctx context.Context, env *Env, j job) outcome {
	out := outcome{job: j}
	if j.subject == nil {
		out.job.subject = Mesh{}
		out.record = observed{name: j.group.obs.name, none: true}
		for _, p := range j.group.probes {
			f := Skipping("there are no " + p.Applies + " in this topology")
			if len(env.Lacks) > 0 {
				f = Lacking(env.Lacks[0].What) // they may be there, unseen
			}
			out.findings = append(out.findings, p.complete(f, Mesh{}))
		}
		return out
	}
	local := map[string]string{} // probe of this group that failed → root
	look := r.wanted(j)
	begin := r.Now()
	var v any
	var err error
	out.record = observed{name: j.group.obs.name, subject: j.subject}
	if look {
		v, err = r.observe(ctx, env, j)
		out.record.value, out.record.err = v, err
	}
	took := r.Now().Sub(begin)
	for _, p := range j.group.probes {
		for _, f := range r.findings(p, j.subject, local, v, err) {
			if f.Status == Pending && r.Wait > 0 {
				// observe gave it all the time there was.
				f.Status, f.Reason = failureAt(p.Clause.Level), ""
			}
			f = p.complete(f, j.subject)
			f.Hint = inPlace(f.Hint, env.Set)
			f.Duration = took
			if f.Status == Fail || f.Status == Blocked {
				local[p.ID] = f.ID + " " + f.Subject
				if f.BlockedBy != "" {
					local[p.ID] = f.BlockedBy
				}
			}
			out.findings = append(out.findings, f)
		}
	}
	return out
}

// wanted says whether a probe of the group is free to judge, so that the
// observation is worth its time.
func (r *run) wanted(j job) bool {
	blocked := map[string]string{}
	for _, p := range j.group.probes {
		root := r.blocker(p, j.subject, blocked)
		if root == "" {
			return true
		}
		blocked[p.ID] = root
	}
	return false
}

// findings is what one probe says, or why it cannot.
func (r *run) findings(p Probe, s Subject, local map[string]string, v any, err error) []Finding {
	if root := r.blocker(p, s, local); root != "" {
		return []Finding{{Status: Blocked, BlockedBy: root}}
	}
	if err != nil {
		return []Finding{unobserved(err)}
	}
	return p.judged(v)
}

// unobserved says why there is nothing to judge.
func unobserved(err error) Finding {
	if denied, ok := errors.AsType[*DeniedError](err); ok {
		return Lacking(denied.What)
	}
	if denied, ok := errors.AsType[*cluster.DeniedError](err); ok {
		return Lacking(denied.What)
	}
	if far, ok := errors.AsType[*cluster.OutOfReachError](err); ok {
		return OutOfReach(far)
	}
	if pe, ok := errors.AsType[*panicError](err); ok {
		return pe.finding
	}
	if errors.Is(err, context.Canceled) {
		return Breaking("interrupted")
	}
	return Breaking(err.Error())
}

// observe makes the observation, again while it is pending and may wait.
func (r *run) observe(ctx context.Context, env *Env, j job) (any, error) {
	pause := 50 * time.Millisecond
	for {
		v, err := r.observeOnce(ctx, env, j)
		left := r.Wait - r.Now().Sub(r.started)
		if err != nil || left <= 0 || !r.pending(j, v) {
			return v, err
		}
		timer := time.NewTimer(min(pause, left))
		select {
		case <-ctx.Done():
			timer.Stop()
			return v, nil
		case <-timer.C:
		}
		pause = min(2*pause, 2*time.Second)
	}
}

func (r *run) pending(j job, v any) bool {
	return slices.ContainsFunc(j.group.probes, func(p Probe) bool {
		return slices.ContainsFunc(p.judged(v), func(f Finding) bool { return f.Status == Pending })
	})
}

func (r *run) observeOnce(ctx context.Context, env *Env, j job) (v any, err error) {
	if ctx.Err() != nil {
		return nil, context.Canceled
	}
	octx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			v, err = nil, &panicError{panicked("observation "+j.group.obs.name, p)}
		}
	}()
	v, err = j.group.obs.observe(octx, env, j.subject)
	if ctx.Err() != nil {
		// What was seen while the run was being ended proves nothing.
		return nil, context.Canceled
	}
	return v, err
}

// panicError carries a panic of an observation to its findings.
type panicError struct{ finding Finding }

// Error is the reason of the finding.
func (e *panicError) Error() string { return e.finding.Reason }

// blocker names the finding that makes p meaningless on s, empty where there
// is none: one of an earlier stage, or of the same group.
func (r *run) blocker(p Probe, s Subject, local map[string]string) string {
	parts := s.Parts()
	if root := r.failed(p.After, s.String(), parts, local); root != "" {
		return root
	}
	return r.failed(p.AfterTo, s.String(), parts[max(len(parts)-1, 0):], local)
}

// failed names the first failure of one of ids on the parts of a subject.
func (r *run) failed(ids []string, subject string, parts []string, local map[string]string) string {
	for _, id := range ids {
		if root := local[id]; root != "" {
			return root
		}
		for _, f := range r.failures[id] {
			if covers(f, subject, parts) {
				return f.root
			}
		}
	}
	return ""
}
