// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// writeStatus tells what the rollout has come to, in the terms by which
// kubectl rollout status judges it.
func (c *controller) writeStatus(k key, r *rollout, generation int64, hash string) error {
	got, err := c.in.store.Get(k.gvr, k.namespace, k.name)
	if err != nil {
		return ignoreNotFound(err)
	}
	var ready, updated, total int32
	if r.serving != nil {
		ready++
		total++
		if r.serving.hash == hash {
			updated++
		}
	}
	if r.failing != nil || r.serving != nil && r.serving.hash != hash {
		total++
		updated++ // the pod of the new template exists, ready or not
	}
	switch o := got.(type) {
	case *appsv1.Deployment:
		o.Status = appsv1.DeploymentStatus{
			ObservedGeneration: generation, Replicas: total, UpdatedReplicas: updated,
			ReadyReplicas: ready, AvailableReplicas: ready, UnavailableReplicas: total - ready,
			Conditions: c.conditions(o.Status.Conditions, ready > 0 || total == 0, updated == total, r.failure()),
		}
		_, err = c.in.store.UpdateStatus(k.gvr, o)
	case *appsv1.DaemonSet:
		o.Status = appsv1.DaemonSetStatus{
			ObservedGeneration: generation, DesiredNumberScheduled: 1, CurrentNumberScheduled: min(total, 1),
			UpdatedNumberScheduled: min(updated, 1), NumberReady: ready, NumberAvailable: ready, NumberUnavailable: 1 - ready,
		}
		if r.failing != nil || r.serving != nil && r.serving.hash != hash {
			o.Status.UpdatedNumberScheduled = 0 // the old pod is still the node's
		}
		_, err = c.in.store.UpdateStatus(k.gvr, o)
	}
	return ignoreNotFound(err)
}

// conditions are Available and Progressing; the time of a condition changes
// with its status only.
func (c *controller) conditions(old []appsv1.DeploymentCondition, available, complete bool, failure error) []appsv1.DeploymentCondition {
	now := metav1.NewTime(c.in.now())
	want := []appsv1.DeploymentCondition{
		{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue, Reason: "MinimumReplicasAvailable", Message: "Deployment has minimum availability."},
		{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: "NewReplicaSetAvailable", Message: "the rollout is complete"},
	}
	if !available {
		want[0].Status, want[0].Reason, want[0].Message = corev1.ConditionFalse, "MinimumReplicasUnavailable", "Deployment does not have minimum availability."
	}
	if !complete {
		want[1].Reason, want[1].Message = "ReplicaSetUpdated", "the new pod is starting"
	}
	if failure != nil {
		want[1].Reason, want[1].Message = "ReplicaSetUpdated", "the new pod does not become ready"
	}
	for i := range want {
		want[i].LastUpdateTime, want[i].LastTransitionTime = now, now
		for _, o := range old {
			if o.Type == want[i].Type && o.Status == want[i].Status {
				want[i].LastTransitionTime = o.LastTransitionTime
			}
		}
	}
	return want
}
