// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"

	"github.com/meshprobe/meshprobe/pkg/cluster/agent"
)

// Names of what stands in for a pod of the cluster.
const (
	agentNamespace = "meshprobe"
	agentName      = "agent"
	agentTokenKey  = "token"
	agentTokenEnv  = "MESHPROBE_AGENT_TOKEN"
)

// ownRanges are the addresses that a cluster in Docker has: private ones.
func ownRanges() []any {
	var args []any
	for _, r := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"} {
		args = append(args, "--allow", r)
	}
	return args
}

// agentObjects are an agent in a namespace of its own, outside the mesh.
func agentObjects(image string) []*unstructured.Unstructured {
	token := make([]byte, 32)
	_, _ = rand.Read(token) // never fails
	c := container(append([]any{"agent"}, ownRanges()...), image)
	c["env"] = []any{obj{"name": agentTokenEnv, "valueFrom": obj{"secretKeyRef": obj{"name": agentName, "key": agentTokenKey}}}}
	labels := obj{"app": agentName, injectLabel: "false"}
	return []*unstructured.Unstructured{
		object("v1", "Namespace", "", agentNamespace, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}, nil),
		object("v1", "Secret", agentNamespace, agentName, nil, obj{"data": obj{agentTokenKey: base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(token)))}}),
		object("apps/v1", "Deployment", agentNamespace, agentName, nil, obj{"spec": obj{
			"replicas": int64(1),
			"selector": obj{"matchLabels": obj{"app": agentName}},
			"template": obj{
				"metadata": obj{"labels": labels},
				"spec": obj{
					"automountServiceAccountToken": false, "enableServiceLinks": false, "terminationGracePeriodSeconds": int64(1),
					"containers": []any{c},
				},
			},
		}}),
	}
}

// inside dials as a pod of the cluster does: through its agent.
type inside struct {
	kube    func() kubernetes.Interface
	forward func(ctx context.Context, pod *corev1.Pod, port uint16) (net.Conn, error)

	mu    sync.Mutex
	pod   *corev1.Pod // of the agent, nil until it was found
	token string
}

// dial opens a stream to a literal address.
func (i *inside) dial(ctx context.Context, addr string) (net.Conn, error) {
	pod, token, err := i.find(ctx)
	if err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	d := &agent.Dialer{Token: token, Through: func(ctx context.Context) (net.Conn, error) {
		c, err := i.forward(ctx, pod, agent.DefaultPort)
		if err != nil && ctx.Err() == nil {
			i.forget(pod) // it may have been replaced
		}
		return c, err
	}}
	return d.Dial(ctx, addr)
}

// find looks the agent up, once.
func (i *inside) find(ctx context.Context) (*corev1.Pod, string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.pod != nil {
		return i.pod, i.token, nil
	}
	core := i.kube().CoreV1()
	secret, err := core.Secrets(agentNamespace).Get(ctx, agentName, metav1.GetOptions{})
	if err != nil {
		return nil, "", err
	}
	pods, err := core.Pods(agentNamespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + agentName})
	if err != nil {
		return nil, "", err
	}
	for k := range pods.Items {
		if p := &pods.Items[k]; podReady(p) && p.DeletionTimestamp == nil {
			i.pod, i.token = p, string(secret.Data[agentTokenKey])
			return i.pod, i.token, nil
		}
	}
	return nil, "", errors.New("it does not run")
}

func (i *inside) forget(pod *corev1.Pod) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.pod == pod {
		i.pod = nil
	}
}
