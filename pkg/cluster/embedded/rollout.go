// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// rollout is the state of one Deployment or DaemonSet: one pod that serves,
// and while a new template does not come up, one that fails to. The old pod
// goes when the new one is ready, never before (maxUnavailable rounds to 0).
type rollout struct {
	count   int // of the pods so far
	serving *placed
	failing *failed
}

// startTimeout bounds the start of a process, which asks the CA or the API.
const startTimeout = 10 * time.Second

// placed is a pod whose process is ready.
type placed struct {
	hash    string
	pod     pod
	process process
}

// failed is a pod whose process does not start.
type failed struct {
	hash     string
	pod      pod
	restarts int32
	err      error
}

func (r *rollout) failure() error {
	if r == nil || r.failing == nil {
		return nil
	}
	return r.failing.err
}

// template is what a rollout reads of a Deployment or DaemonSet.
type template struct {
	generation int64
	replicas   int32
	pod        corev1.PodTemplateSpec
	owner      owner
}

func (c *controller) reconcileRollout(ctx context.Context, k key) error {
	o, err := c.in.store.Get(k.gvr, k.namespace, k.name)
	if apierrors.IsNotFound(err) {
		return c.end(k)
	}
	if err != nil {
		return err
	}
	var t template
	switch o := o.(type) {
	case *appsv1.Deployment:
		t = template{o.Generation, 1, o.Spec.Template, owner{"Deployment", o.Name, o.UID}}
		if o.Spec.Replicas != nil {
			t.replicas = *o.Spec.Replicas
		}
	case *appsv1.DaemonSet:
		t = template{o.Generation, 1, o.Spec.Template, owner{"DaemonSet", o.Name, o.UID}}
	default:
		return fmt.Errorf("%s is a %T", k.name, o)
	}
	r := c.rollouts[k]
	if r == nil {
		r = &rollout{}
		c.rollouts[k] = r
	}
	if t.replicas == 0 {
		err = c.scaleToZero(r)
	} else {
		err = c.roll(ctx, k, r, t)
	}
	return cmp.Or(err, c.writeStatus(k, r, t.generation, hashOf(t.pod)))
}

// roll brings the pod of the current template up and takes the old one down.
func (c *controller) roll(ctx context.Context, k key, r *rollout, t template) error {
	hash := hashOf(t.pod)
	if r.failing != nil && r.failing.hash != hash {
		if err := c.dropFailing(r); err != nil {
			return err
		}
	}
	if r.serving != nil && r.serving.hash == hash && r.failing == nil {
		return nil
	}
	next := failed{hash: hash}
	if r.failing != nil {
		next = *r.failing
		next.restarts++
	} else {
		r.count++
		var err error
		if next.pod, err = c.createPod(k, r.count, hash, t); err != nil {
			return err
		}
		if r.serving != nil {
			if err := c.writeStatus(k, r, t.generation, hash); err != nil {
				return err
			}
		}
	}
	startCtx, cancel := context.WithTimeout(ctx, startTimeout)
	started, err := c.in.launch(startCtx, next.pod)
	cancel()
	if err != nil {
		next.err = err
		r.failing = &next
		return c.markFailed(next)
	}
	r.failing = nil
	old := r.serving
	r.serving = &placed{hash, next.pod, started}
	if err := c.markReady(next.pod, next.restarts); err != nil {
		return err
	}
	if err := c.writeSlices(next.pod, old); err != nil {
		return err
	}
	if d, ok := started.(*istiod); ok {
		c.in.istiod.Store(d) // only now does its Service lead to it
		c.in.earlier.restarted()
	}
	if old != nil {
		old.process.stop()
		if err := c.deletePod(old.pod); err != nil {
			return err
		}
	}
	if kindOf(next.pod) == istiodKind {
		c.retryFailed(ctx)
	}
	return nil
}

// replace brings up another pod in the place of one that somebody deleted.
func (c *controller) replace(ctx context.Context, deleted key) error {
	is := func(p pod) bool { return p.namespace == deleted.namespace && p.name == deleted.name }
	for k, r := range c.rollouts {
		switch {
		case r.serving != nil && is(r.serving.pod):
			old := r.serving
			r.serving = nil
			if err := c.writeSlices(old.pod, nil); err != nil {
				return err
			}
			old.process.stop()
		case r.failing != nil && is(r.failing.pod):
			r.failing = nil
		default:
			continue
		}
		return c.reconcileRollout(ctx, k)
	}
	return nil
}

// end takes down what has no owner any more.
func (c *controller) end(k key) error {
	r := c.rollouts[k]
	if r == nil {
		return nil
	}
	delete(c.rollouts, k)
	return c.scaleToZero(r)
}

func (c *controller) scaleToZero(r *rollout) error {
	err := c.dropFailing(r)
	if old := r.serving; old != nil {
		r.serving = nil
		err = cmp.Or(err, c.writeSlices(old.pod, nil))
		old.process.stop()
		err = cmp.Or(err, c.deletePod(old.pod))
	}
	return err
}

func (c *controller) dropFailing(r *rollout) error {
	f := r.failing
	r.failing = nil
	if f == nil {
		return nil
	}
	return c.deletePod(f.pod)
}

// writeSlices updates the services in front of a pod that came or went.
func (c *controller) writeSlices(p pod, old *placed) error {
	objects, _, err := c.in.store.List(servicesGVR, p.namespace, nil)
	if err != nil {
		return err
	}
	for _, s := range each[*corev1.Service](objects) {
		if selects(s.Spec.Selector, p.labels) || old != nil && selects(s.Spec.Selector, old.pod.labels) {
			if err := c.writeSlice(s.Namespace, s.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// hashOf is pod-template-hash: it changes when the template does.
func hashOf(t corev1.PodTemplateSpec) string {
	text, err := json.Marshal(t)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:5])
}
