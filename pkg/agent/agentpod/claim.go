// SPDX-License-Identifier: Apache-2.0

package agentpod

import (
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// removing is how long a namespace may take to go.
const removing = time.Minute

// Error says why there is no guest.
type Error struct{ Msg, Hint string }

// Error is one line.
func (e *Error) Error() string { return e.Msg }

// Hints says what would help.
func (e *Error) Hints() []string { return []string{e.Hint} }

// Rules are what a guest takes in [Namespace], where that was made before with
// the label [LabelKeep], beside getting it, listing pods and port-forwards. Where
// there is no such namespace, creating and deleting it comes in addition.
func Rules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{APIGroups: []string{batchv1.GroupName}, Resources: []string{"jobs"}, Verbs: []string{"create"}}, // RBAC cannot name what is to be created
		{APIGroups: []string{batchv1.GroupName}, Resources: []string{"jobs"}, Verbs: []string{"get", "delete"}, ResourceNames: []string{Name}},
	}
}

// Ground is the namespace of guests, as somebody makes it who lets meshprobe put
// agents there and no namespaces into the cluster.
func Ground() *corev1.Namespace {
	labels := NamespaceLabels()
	labels[LabelKeep] = "true"
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace, Labels: labels}}
}

// claim makes the Job, and the namespace where there is none. The name of the
// Job is the lock: whoever creates it has the guest.
func (g *Guest) claim(ctx context.Context) error {
	for {
		found, err := g.ground(ctx)
		if err == nil && found.namespace != "" {
			var job *batchv1.Job
			job, err = g.o.Kube.BatchV1().Jobs(Namespace).Create(ctx, g.job(), metav1.CreateOptions{})
			switch {
			case err == nil:
				found.job = job.UID
				g.place = found
				return nil
			case apierrors.IsAlreadyExists(err):
				err = g.evict(ctx, found)
			case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
				err = nil
			case found.made:
				g.place = found // it can go: nobody else's is in it
			}
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		if pause(ctx, patience) != nil {
			return &Error{
				Msg:  fmt.Sprintf("another check has its agent in it, or its namespace %s does not go, for %s", Namespace, g.o.Wait),
				Hint: "wait for the other check, or look: kubectl get all -n " + Namespace,
			}
		}
	}
}

// place is where a guest is.
type place struct {
	namespace types.UID
	kept      bool      // somebody made it who wants it to stay
	made      bool      // just now, for this guest
	job       types.UID // "" where there is none
}

// ground is the namespace, made where there is none; the zero place where it is
// about to go.
func (g *Guest) ground(ctx context.Context) (place, error) {
	ns, err := g.o.Kube.CoreV1().Namespaces().Get(ctx, Namespace, metav1.GetOptions{})
	made := apierrors.IsNotFound(err)
	if made {
		ns, err = g.o.Kube.CoreV1().Namespaces().Create(ctx, g.o.namespace(), metav1.CreateOptions{})
	}
	if err != nil {
		if apierrors.IsAlreadyExists(err) {
			return place{}, nil // somebody was faster
		}
		return place{}, err
	}
	found := place{namespace: ns.UID, kept: ns.Labels[LabelKeep] == "true", made: made}
	switch {
	case ns.DeletionTimestamp != nil:
		return place{}, nil
	case !found.kept && ns.Labels[labelManaged] != managedBy:
		return place{}, &Error{Msg: "there is a namespace " + Namespace + " that meshprobe did not make", Hint: "let it be used: kubectl label namespace " + Namespace + " " + LabelKeep + "=true"}
	}
	return found, nil
}

// evict removes a guest whose owner is gone, and leaves every other one alone.
func (g *Guest) evict(ctx context.Context, from place) error {
	job, err := g.o.Kube.BatchV1().Jobs(Namespace).Get(ctx, Name, metav1.GetOptions{})
	if err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	abandoned := ended(job)
	if !abandoned {
		if abandoned, err = g.abandoned(ctx); err != nil {
			return err
		}
	}
	if !abandoned {
		return nil
	}
	from.job = job.UID
	return g.remove(ctx, from)
}

// abandoned says that nobody speaks to the guest that is there.
func (g *Guest) abandoned(ctx context.Context) (bool, error) {
	pod, err := g.find(ctx)
	switch {
	case err != nil:
		return false, err
	case pod == nil:
		return false, nil // it is about to be made
	case !Ready(pod):
		// Its owner gives up by then too, where there is one.
		return hopeless(pod) || time.Since(pod.CreationTimestamp.Time) > DefaultWait, nil
	}
	idle, err := health(ctx, g.o.Forward, pod, "")
	return err == nil && idle > gone, nil // it may just have ended: the next look says
}

func ended(job *batchv1.Job) bool {
	for _, c := range job.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

// remove asks for the end of one guest, and of no other that bears its name.
func (g *Guest) remove(ctx context.Context, p place) error {
	var err error
	switch {
	case !p.kept:
		err = g.o.Kube.CoreV1().Namespaces().Delete(ctx, Namespace, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(p.namespace))})
	case p.job != "":
		err = g.o.Kube.BatchV1().Jobs(Namespace).Delete(ctx, Name, metav1.DeleteOptions{
			Preconditions: metav1.NewUIDPreconditions(string(p.job)), PropagationPolicy: new(metav1.DeletePropagationBackground),
		})
	}
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// Stop removes the guest, with its namespace unless that was there before, and
// waits until it is gone. It is safe to call twice.
func (g *Guest) Stop(ctx context.Context) error {
	g.stop.Do(func() {
		g.cancel()
		g.greeting.Wait()
		if g.place.namespace != "" {
			g.stopped = g.leave(ctx)
		}
	})
	return g.stopped
}

func (g *Guest) leave(ctx context.Context) error {
	if err := g.remove(ctx, g.place); err != nil {
		return fmt.Errorf("remove its agent: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, removing)
	defer cancel()
	for {
		left, err := g.left(ctx)
		if err == nil && left == "" {
			return nil
		}
		if pause(ctx, pace) != nil {
			return fmt.Errorf("remove its agent: the %s was deleted and does not go; look: kubectl get all -n %s", left, Namespace)
		}
	}
}

// left names what of the guest is still there.
func (g *Guest) left(ctx context.Context) (string, error) {
	if !g.place.kept {
		ns, err := g.o.Kube.CoreV1().Namespaces().Get(ctx, Namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && ns.UID != g.place.namespace {
			return "", nil
		}
		return "namespace " + Namespace, err
	}
	pods, err := g.o.Kube.CoreV1().Pods(Namespace).List(ctx, metav1.ListOptions{LabelSelector: labelComponent + "=" + Name})
	if err != nil {
		return "pod in " + Namespace, err
	}
	for _, p := range pods.Items {
		if ownedBy(&p, g.place.job) {
			return "pod " + p.Name + " in " + Namespace, nil
		}
	}
	return "", nil
}
