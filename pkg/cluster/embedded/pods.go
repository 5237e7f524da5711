// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/kubeapi"
)

// owner is the controller that a pod belongs to.
type owner struct {
	kind, name string
	uid        types.UID
}

// createPod makes the object of the n-th pod of a rollout, with an address of
// its own, as the sidecar injector or the ambient CNI leave it.
func (c *controller) createPod(k key, n int, hash string, t template) (pod, error) {
	p := pod{
		namespace: k.namespace, name: fmt.Sprintf("%s-%s-%05x", k.name, hash, n), serviceAccount: t.pod.Spec.ServiceAccountName,
		labels: maps.Clone(t.pod.Labels), addr: c.in.addrs.pod(),
		dataPlane: dataPlaneOf(t.pod.Labels, c.in.local().namespaces[k.namespace]),
	}
	if p.serviceAccount == "" {
		p.serviceAccount = "default"
	}
	if p.labels == nil {
		p.labels = map[string]string{}
	}
	p.labels["pod-template-hash"] = hash
	annotations := maps.Clone(t.pod.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	spec := *t.pod.Spec.DeepCopy()
	spec.NodeName = c.in.nodeName()
	switch {
	case kindOf(p) != workloadKind:
		p.dataPlane = cluster.NoMesh // the mesh itself is not captured
	case p.dataPlane == cluster.Sidecar:
		p.labels[tlsModeLabel] = "istio"
		spec.Containers = append(spec.Containers, corev1.Container{Name: proxyName, Image: "meshprobe/proxy"})
	case p.dataPlane == cluster.Ambient:
		annotations[redirection] = "enabled"
	}
	created, err := c.in.store.Create(podsGVR, p.namespace, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: p.name, Namespace: p.namespace, Labels: p.labels, Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: t.owner.kind, Name: t.owner.name, UID: t.owner.uid,
				Controller: new(true), BlockOwnerDeletion: new(true),
			}},
		},
		Spec: spec,
	})
	if err != nil {
		return p, err
	}
	if o, ok := created.(*corev1.Pod); ok {
		p.uid = string(o.UID)
	}
	return p, nil
}

func (c *controller) markReady(p pod, restarts int32) error {
	now := metav1.NewTime(c.in.now())
	return c.setPodStatus(p, func(o *corev1.Pod) {
		o.Status.Phase = corev1.PodRunning
		o.Status.Conditions = podConditions(corev1.ConditionTrue, "", now)
		o.Status.ContainerStatuses = containerStatuses(o, restarts, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}})
	})
}

// markFailed shows why a process does not start, the way a crash loop does.
func (c *controller) markFailed(f failed) error {
	now := metav1.NewTime(c.in.now())
	return c.setPodStatus(f.pod, func(o *corev1.Pod) {
		o.Status.Phase = corev1.PodRunning
		o.Status.Message = f.err.Error()
		o.Status.Conditions = podConditions(corev1.ConditionFalse, "ContainersNotReady", now)
		o.Status.ContainerStatuses = containerStatuses(o, f.restarts+1, corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: f.err.Error()},
		})
		for i := range o.Status.ContainerStatuses {
			o.Status.ContainerStatuses[i].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{
				ExitCode: 1, Reason: "Error", Message: f.err.Error(), FinishedAt: now,
			}
		}
	})
}

func (c *controller) setPodStatus(p pod, change func(*corev1.Pod)) error {
	got, err := c.in.store.Get(podsGVR, p.namespace, p.name)
	if err != nil {
		return ignoreNotFound(err) // somebody deleted it
	}
	o, ok := got.(*corev1.Pod)
	if !ok {
		return fmt.Errorf("pod %s is a %T", p.name, got)
	}
	o.Status.Message = ""
	o.Status.PodIP, o.Status.PodIPs = p.addr.String(), []corev1.PodIP{{IP: p.addr.String()}}
	o.Status.HostIP = c.in.addrs.node().String()
	if o.Status.StartTime == nil {
		o.Status.StartTime = new(metav1.NewTime(c.in.now()))
	}
	change(o)
	_, err = c.in.store.UpdateStatus(podsGVR, o)
	return err
}

func podConditions(ready corev1.ConditionStatus, reason string, now metav1.Time) []corev1.PodCondition {
	return []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: now},
		{Type: corev1.PodInitialized, Status: corev1.ConditionTrue, LastTransitionTime: now},
		{Type: corev1.ContainersReady, Status: ready, Reason: reason, LastTransitionTime: now},
		{Type: corev1.PodReady, Status: ready, Reason: reason, LastTransitionTime: now},
	}
}

func containerStatuses(o *corev1.Pod, restarts int32, state corev1.ContainerState) []corev1.ContainerStatus {
	out := make([]corev1.ContainerStatus, 0, len(o.Spec.Containers))
	for _, c := range o.Spec.Containers {
		out = append(out, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, State: state, RestartCount: restarts,
			Ready: state.Running != nil, Started: new(state.Running != nil),
		})
	}
	return out
}

func (c *controller) deletePod(p pod) error {
	return ignoreNotFound(c.in.store.Delete(podsGVR, p.namespace, p.name))
}

// sliceOf is the EndpointSlice of a service, without endpoints.
func sliceOf(s *corev1.Service) *discoveryv1.EndpointSlice {
	out := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Name: s.Name + "-" + strings.ReplaceAll(string(s.UID), "-", "")[:min(5, len(s.UID))], Namespace: s.Namespace,
			Labels: map[string]string{
				discoveryv1.LabelServiceName: s.Name,
				discoveryv1.LabelManagedBy:   "endpointslice-controller.k8s.io",
			},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Service", Name: s.Name, UID: s.UID, Controller: new(true), BlockOwnerDeletion: new(true)}},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for _, p := range s.Spec.Ports {
		out.Ports = append(out.Ports, discoveryv1.EndpointPort{Name: new(p.Name), Port: new(int32(p.TargetPort.IntValue())), Protocol: new(p.Protocol), AppProtocol: p.AppProtocol})
	}
	return out
}

func endpointOf(p pod, node string) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{
		Addresses:  []string{p.addr.String()},
		Conditions: discoveryv1.EndpointConditions{Ready: new(true), Serving: new(true), Terminating: new(false)},
		NodeName:   new(node),
		TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: p.namespace, Name: p.name, UID: types.UID(p.uid)},
	}
}

// stored is what a Store holds.
type stored interface {
	runtime.Object
	metav1.Object
}

// put creates an object or replaces the one of its name.
func put(store *kubeapi.Store, gvr schema.GroupVersionResource, o stored) error {
	got, err := store.Get(gvr, o.GetNamespace(), o.GetName())
	if apierrors.IsNotFound(err) {
		_, err = store.Create(gvr, o.GetNamespace(), o)
		return err
	}
	if err != nil {
		return err
	}
	if m, ok := got.(metav1.Object); ok {
		o.SetResourceVersion(m.GetResourceVersion())
		o.SetUID(m.GetUID())
	}
	_, err = store.Update(gvr, o)
	return err
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
