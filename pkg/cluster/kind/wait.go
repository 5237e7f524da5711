// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// lasting keeps the errors that waiting does not heal: a webhook whose server
// comes up, a kind that is not served yet and a connection that broke do heal.
func lasting(err error) error {
	switch {
	case err == nil, meta.IsNoMatchError(err), apierrors.IsInternalError(err), apierrors.IsServiceUnavailable(err),
		apierrors.IsServerTimeout(err), apierrors.IsTimeout(err), apierrors.IsTooManyRequests(err), apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return nil
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return nil
	}
	return err
}

// rolledOut waits until the Deployments of some namespaces run what they are
// told to run, those among them that somebody else makes by and by, as
// namespace/name.
func (a *api) rolledOut(ctx context.Context, namespaces, awaited []string) error {
	var missing []string
	err := wait.PollUntilContextCancel(ctx, aBit, true, func(ctx context.Context) (bool, error) {
		list, err := a.kube.AppsV1().Deployments("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, lasting(err)
		}
		missing = slices.Clone(awaited)
		for i := range list.Items {
			missing = slices.DeleteFunc(missing, func(name string) bool { return name == list.Items[i].Namespace+"/"+list.Items[i].Name })
			if d := &list.Items[i]; slices.Contains(namespaces, d.Namespace) && !deployed(d) {
				missing = append(missing, d.Namespace+"/"+d.Name)
			}
		}
		return len(missing) == 0, nil
	})
	if err == nil || len(missing) == 0 {
		return err
	}
	return fmt.Errorf("not running: %s: %w", strings.Join(missing, ", "), err)
}

func deployed(d *appsv1.Deployment) bool {
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	s := d.Status
	return s.ObservedGeneration >= d.Generation && s.UpdatedReplicas >= want && s.AvailableReplicas >= want && s.Replicas == s.UpdatedReplicas
}

// How much of a stuck pod is told.
const (
	stuckPods   = 2
	stuckEvents = 5
	stuckLines  = 8
)

// stuck tells what the pods that do not get ready wait for: their events and
// the last lines of their logs, without credentials. It says nothing where it
// cannot look.
func (a *api) stuck(ctx context.Context) []string {
	pods, err := a.kube.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	var out []string
	told := 0
	for i := range pods.Items {
		p := &pods.Items[i]
		if podReady(p) || p.Status.Phase == corev1.PodSucceeded || told == stuckPods {
			continue
		}
		told++
		out = append(out, fmt.Sprintf("pod %s/%s is %s", p.Namespace, p.Name, describe(p)))
		out = append(out, a.events(ctx, p)...)
		for _, c := range unready(p) {
			out = append(out, a.lastWords(ctx, p, c)...)
		}
	}
	return out
}

func podReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// describe is the phase of a pod and why its containers wait.
func describe(p *corev1.Pod) string {
	out := []string{string(p.Status.Phase)}
	for _, s := range statuses(p) {
		if w := s.State.Waiting; w != nil && w.Reason != "" {
			out = append(out, s.Name+": "+w.Reason)
		}
		if t := s.State.Terminated; t != nil && t.ExitCode != 0 {
			out = append(out, fmt.Sprintf("%s: exit status %d", s.Name, t.ExitCode))
		}
	}
	return strings.Join(out, ", ")
}

func statuses(p *corev1.Pod) []corev1.ContainerStatus {
	return append(slices.Clone(p.Status.InitContainerStatuses), p.Status.ContainerStatuses...)
}

// unready are the containers that have something to tell.
func unready(p *corev1.Pod) []corev1.ContainerStatus {
	return slices.DeleteFunc(statuses(p), func(s corev1.ContainerStatus) bool {
		done := s.State.Terminated != nil && s.State.Terminated.ExitCode == 0
		return s.Ready || done || s.ContainerID == "" && s.RestartCount == 0
	})
}

func (a *api) events(ctx context.Context, p *corev1.Pod) []string {
	list, err := a.kube.CoreV1().Events(p.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + p.Name})
	if err != nil {
		return nil
	}
	slices.SortStableFunc(list.Items, func(a, b corev1.Event) int { return when(a).Compare(when(b)) })
	var b strings.Builder
	for _, e := range list.Items {
		if e.Type == corev1.EventTypeWarning || e.Reason == "FailedScheduling" {
			fmt.Fprintf(&b, "%s: %s\n", e.Reason, strings.ReplaceAll(e.Message, "\n", " "))
		}
	}
	return prefixed("event ", clean(b.String(), stuckEvents))
}

// when is the last time of an event; who reports series fills in another field.
func when(e corev1.Event) time.Time {
	if e.LastTimestamp.IsZero() {
		return e.EventTime.Time
	}
	return e.LastTimestamp.Time
}

func (a *api) lastWords(ctx context.Context, p *corev1.Pod, s corev1.ContainerStatus) []string {
	logs, err := a.kube.CoreV1().Pods(p.Namespace).GetLogs(p.Name, &corev1.PodLogOptions{
		Container: s.Name, TailLines: new(int64(4 * stuckLines)), LimitBytes: new(int64(256 << 10)),
		Previous: s.RestartCount > 0 && s.State.Running == nil,
	}).DoRaw(ctx)
	if err != nil {
		return nil
	}
	return prefixed("log of "+s.Name+": ", clean(string(logs), stuckLines))
}

func prefixed(prefix string, lines []string) []string {
	for i := range lines {
		lines[i] = prefix + lines[i]
	}
	return lines
}
