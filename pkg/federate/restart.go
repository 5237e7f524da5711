// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	// annotationRestarted is what kubectl rollout restart sets.
	annotationRestarted = "kubectl.kubernetes.io/restartedAt"
	// annotationCA on a pod template names the CA that was in cacerts when the
	// pods were restarted, so that they are restarted for it once.
	annotationCA = "meshprobe.io/ca"
	// annotationSettled on istiod's Deployment names a CA, and since when
	// everything runs with it: what was made later was born with it.
	annotationSettled = "meshprobe.io/settled"
	// settling is by how much the clocks of a cluster and of whoever federates
	// it may differ.
	settling = time.Minute
)

// ErrNoIstiod says that there is no control plane to restart.
var ErrNoIstiod = errors.New("there is no Deployment with label app=istiod in the namespace of the control plane")

func templateAnnotation(name string) []string {
	return []string{"spec", "template", "metadata", "annotations", name}
}

// startedWith reports whether the pods were started with the CA of that mark:
// the template says so, or, where the controller was made after the CA, it does
// itself.
func (r rollable) startedWith(mark string) bool {
	return r.annotations[annotationCA] == mark || note(r.object, annotationCA) == mark
}

// unstarted is what of them has to be restarted for the CA of that mark.
func (m *member) unstarted(ctx context.Context, found []rollable, mark string) ([]rollable, error) {
	left := slices.DeleteFunc(slices.Clone(found), func(r rollable) bool { return r.startedWith(mark) })
	if len(left) == 0 {
		return nil, nil
	}
	since, err := m.settled(ctx, mark)
	if err != nil || since.IsZero() {
		return left, err
	}
	return slices.DeleteFunc(left, func(r rollable) bool {
		born := r.object.GetCreationTimestamp()
		return !isIstiod(m, r) && born.After(since.Add(settling))
	}), nil
}

// settled is since when everything runs with the CA of that mark, zero where
// nobody has seen that.
func (m *member) settled(ctx context.Context, mark string) (time.Time, error) {
	found, err := m.rollables(ctx, isIstiod)
	if err != nil {
		return time.Time{}, err
	}
	var last time.Time
	for _, r := range found {
		at := r.settledAt(mark)
		if at.IsZero() {
			return at, nil
		}
		if at.After(last) {
			last = at
		}
	}
	return last, nil
}

// settledAt is what the note on an istiod says of the CA of that mark, zero where
// it says nothing that can be read.
func (r rollable) settledAt(mark string) time.Time {
	of, text, _ := strings.Cut(note(r.object, annotationSettled), " ")
	at, err := time.Parse(time.RFC3339, text)
	if of != mark || err != nil {
		return time.Time{}
	}
	return at
}

// settle notes that everything was restarted for the CA in force, once.
func (m *member) settle(ctx context.Context) error {
	if !m.ca.ok() {
		return nil
	}
	found, err := m.rollables(ctx, isIstiod)
	if err != nil {
		return err
	}
	mark := m.ca.mark()
	value := mark + " " + m.f.opts.Now().UTC().Format(time.RFC3339)
	for _, r := range found {
		if !r.settledAt(mark).IsZero() {
			continue
		}
		err := m.touch(ctx, r.kind, r.object, edit{Path: []string{"metadata", "annotations", annotationSettled}, Value: &value})
		if err != nil {
			return fmt.Errorf("annotate %s: %w", r, err)
		}
	}
	return nil
}

func planRestart(pick class) func(context.Context, *member) ([]Change, error) {
	return func(ctx context.Context, m *member) ([]Change, error) {
		mark := ""
		if m.ca.ok() {
			mark = m.ca.mark()
		}
		return m.restarts(ctx, pick, mark)
	}
}

// restarts lists what of a class has to be restarted for the CA of a mark, all of
// it where that CA is not made yet, and mark empty.
func (m *member) restarts(ctx context.Context, pick class, mark string) ([]Change, error) {
	found, err := m.rollables(ctx, pick)
	if err != nil {
		return nil, err
	}
	if mark != "" {
		if found, err = m.unstarted(ctx, found, mark); err != nil {
			return nil, err
		}
	}
	var out []Change
	for _, r := range found {
		out = append(out, Change{Op: "!", Object: r.String(), Text: "restarts"})
	}
	return out, nil
}

// applyRestart restarts what was not restarted since the CA is the present
// one, all at once, and waits until all of it runs. none is the error where
// there is nothing of the class.
func applyRestart(pick class, none error) func(context.Context, *member) error {
	return func(ctx context.Context, m *member) error {
		found, err := m.rollables(ctx, pick)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return none
		}
		mark, at := m.ca.mark(), m.f.opts.Now().Format(time.RFC3339)
		left, err := m.unstarted(ctx, found, mark)
		if err != nil {
			return err
		}
		for _, r := range left {
			err := m.touch(ctx, r.kind, r.object,
				edit{Path: templateAnnotation(annotationCA), Value: &mark},
				edit{Path: templateAnnotation(annotationRestarted), Value: &at, follows: true})
			if err != nil {
				return fmt.Errorf("restart %s: %w", r, err)
			}
		}
		return m.awaitRollouts(ctx, found)
	}
}

// awaitRollouts waits until every one of them runs its present template.
func (m *member) awaitRollouts(ctx context.Context, found []rollable) error {
	for _, k := range []kind{deployments, daemonSets, statefulSets} {
		var keys []objectKey
		for _, r := range found {
			if r.kind == k && !onDelete(r.object) {
				keys = append(keys, keyOf(r.object))
			}
		}
		if len(keys) == 0 {
			continue
		}
		err := await(ctx, m.in(k, ""), metav1.ListOptions{}, m.f.opts.StepTimeout, func(seen objects) ([]string, error) {
			var missing []string
			for _, key := range keys {
				o, ok := seen[key]
				if !ok {
					continue // deleted meanwhile
				}
				if stuck(o) {
					return nil, fmt.Errorf("%s %s exceeded its progress deadline", k, key)
				}
				if left := rolledOut(k, o); left != "" {
					missing = append(missing, fmt.Sprintf("%s %s: %s", k, key, left))
				}
			}
			return missing, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// onDelete reports whether pods are replaced only when somebody deletes them.
func onDelete(o *unstructured.Unstructured) bool {
	t, _, _ := unstructured.NestedString(o.Object, "spec", "updateStrategy", "type") // absent is RollingUpdate
	return t == "OnDelete"
}
