// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/meshprobe/meshprobe/pkg/agent/agentpod"
)

// Names of what stands in for a pod of the cluster.
const (
	agentNamespace = "meshprobe"
	agentName      = "agent"
)

// agentObjects are an agent in a namespace of its own, outside the mesh.
func agentObjects(image string) ([]*unstructured.Unstructured, error) {
	spec, err := runtime.DefaultUnstructuredConverter.ToUnstructured(new(agentpod.Pod{Image: image}.Spec()))
	if err != nil {
		return nil, err
	}
	labels := obj{"app": agentName}
	for k, v := range agentpod.PodLabels() {
		labels[k] = v
	}
	return []*unstructured.Unstructured{
		object("v1", "Namespace", "", agentNamespace, agentpod.NamespaceLabels(), nil),
		object("apps/v1", "Deployment", agentNamespace, agentName, nil, obj{"spec": obj{
			"replicas": int64(1),
			"selector": obj{"matchLabels": obj{"app": agentName}},
			"template": obj{"metadata": obj{"labels": labels}, "spec": spec},
		}}),
	}, nil
}

// inside dials as a pod of the cluster does: through its agent.
type inside struct {
	kube    func() kubernetes.Interface
	forward agentpod.Forward

	mu  sync.Mutex
	pod *corev1.Pod // of the agent, nil until it was found
}

// dial opens a stream to host:port.
func (i *inside) dial(ctx context.Context, addr string) (net.Conn, error) {
	pod, err := i.find(ctx)
	if err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	c, err := agentpod.Dial(ctx, i.forward, pod, "", addr)
	if _, lost := errors.AsType[*agentpod.LostError](err); lost {
		i.forget(pod) // it may have been replaced
	}
	return c, err
}

// find looks the agent up, once.
func (i *inside) find(ctx context.Context) (*corev1.Pod, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.pod != nil {
		return i.pod, nil
	}
	pods, err := i.kube().CoreV1().Pods(agentNamespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + agentName})
	if err != nil {
		return nil, err
	}
	for k := range pods.Items {
		if p := &pods.Items[k]; podReady(p) && p.DeletionTimestamp == nil {
			i.pod = p
			return p, nil
		}
	}
	return nil, errors.New("it does not run")
}

func (i *inside) forget(pod *corev1.Pod) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.pod == pod {
		i.pod = nil
	}
}
