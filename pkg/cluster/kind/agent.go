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
	"k8s.io/client-go/kubernetes"

	"github.com/meshprobe/meshprobe/pkg/agent"
	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// Names of what stands in for a pod of the cluster.
const (
	agentNamespace = "meshprobe"
	agentName      = "agent"
	agentPort      = 15080
)

// agentObjects are an agent in a namespace of its own, outside the mesh.
func agentObjects(image string) []*unstructured.Unstructured {
	return []*unstructured.Unstructured{
		object("v1", "Namespace", "", agentNamespace, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}, nil),
		object("apps/v1", "Deployment", agentNamespace, agentName, nil, obj{"spec": obj{
			"replicas": int64(1),
			"selector": obj{"matchLabels": obj{"app": agentName}},
			"template": obj{
				"metadata": obj{"labels": obj{"app": agentName, injectLabel: "false"}},
				"spec": obj{
					"automountServiceAccountToken": false, "enableServiceLinks": false, "terminationGracePeriodSeconds": int64(1),
					"containers": []any{container([]any{"agent", "--listen", fmt.Sprintf("127.0.0.1:%d", agentPort)}, image)},
				},
			},
		}}),
	}
}

// inside dials as a pod of the cluster does: through its agent.
type inside struct {
	kube    func() kubernetes.Interface
	forward func(ctx context.Context, pod *corev1.Pod, port uint16) (net.Conn, error)

	mu  sync.Mutex
	pod *corev1.Pod // of the agent, nil until it was found
}

// dial opens a stream to host:port.
func (i *inside) dial(ctx context.Context, addr string) (net.Conn, error) {
	pod, err := i.find(ctx)
	if err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	stream, err := i.forward(ctx, pod, agentPort)
	if err != nil {
		if ctx.Err() == nil {
			i.forget(pod) // it may have been replaced
		}
		return nil, fmt.Errorf("agent: %w", err)
	}
	c, err := agent.Dial(ctx, stream, addr)
	if err != nil {
		return nil, err
	}
	return through{c}, nil
}

// through is a stream that went through a port-forward, which may lose what a
// peer said right before it reset.
type through struct{ net.Conn }

var _ cluster.Relayed = through{}

// Relayed is true.
func (through) Relayed() bool { return true }

// CloseWrite ends the direction that is written.
func (t through) CloseWrite() error {
	if half, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
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
