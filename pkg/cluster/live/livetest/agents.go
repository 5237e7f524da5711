// SPDX-License-Identifier: Apache-2.0

package livetest

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/meshprobe/meshprobe/pkg/agent"
	"github.com/meshprobe/meshprobe/pkg/agent/agentpod"
	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// agents does what a Job controller and a kubelet do with the Job of an agent:
// it makes the pod, and runs the program of its image, in this process.
type agents struct {
	t    testing.TB
	mesh *Mesh
	c    cluster.Cluster

	ctx     context.Context //nolint:containedctx // the life of the programs, which outlive the request that made them
	running sync.WaitGroup

	mu     sync.Mutex
	listen map[types.UID]string // by UID of the pod
}

func newAgents(t testing.TB, m *Mesh, c cluster.Cluster) *agents {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	a := &agents{t: t, mesh: m, c: c, ctx: ctx, listen: map[types.UID]string{}}
	t.Cleanup(func() {
		cancel()
		a.running.Wait()
	})
	return a
}

// at is where the program of a pod listens.
func (a *agents) at(pod *corev1.Pod, port int) (string, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at, ok := a.listen[pod.UID]
	return at, ok && port == agentpod.Port
}

// employ makes the pods that the Jobs of a namespace still lack.
func (a *agents) employ(ctx context.Context, namespace string) {
	ctx = context.WithoutCancel(ctx)
	kube, _ := cluster.As[cluster.Kube](a.c)
	jobs, err := kube.Kubernetes().BatchV1().Jobs(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		a.t.Errorf("livetest: jobs: %v", err)
		return
	}
	for _, job := range jobs.Items {
		pod := a.pod(&job)
		made, err := kube.Kubernetes().CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{})
		if err != nil {
			continue // it is there
		}
		a.run(made)
		made.Status = corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: "192.0.2.1",
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		}
		if _, err := kube.Kubernetes().CoreV1().Pods(namespace).UpdateStatus(ctx, made, metav1.UpdateOptions{}); err != nil {
			a.t.Errorf("livetest: pod of a job: %v", err)
		}
	}
}

// dismiss removes the pods of a namespace, whose Job is gone.
func (a *agents) dismiss(ctx context.Context, namespace string) {
	kube, _ := cluster.As[cluster.Kube](a.c)
	if err := kube.Kubernetes().CoreV1().Pods(namespace).DeleteCollection(context.WithoutCancel(ctx), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		a.t.Errorf("livetest: pods of a job: %v", err)
	}
}

func (a *agents) pod(job *batchv1.Job) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: job.Namespace, Name: job.Name + "-x1y2z", Labels: job.Spec.Template.Labels,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: job.Name, UID: job.UID, Controller: new(true)}},
		},
		Spec: job.Spec.Template.Spec,
	}
}

// run is meshprobe agent with the arguments of the pod, dialing as pods of the
// embedded cluster do.
func (a *agents) run(pod *corev1.Pod) {
	server := &agent.Server{Relayed: true, Dial: a.dial}
	args := pod.Spec.Containers[0].Args
	for i := 1; i+1 < len(args); i++ {
		switch args[i] {
		case "--caller":
			server.Caller = args[i+1]
		case "--host":
			server.Hosts = append(server.Hosts, args[i+1])
		case "--idle":
			server.Idle, _ = time.ParseDuration(args[i+1])
		}
	}
	if server.Caller == "" || len(server.Hosts) == 0 || server.Idle == 0 {
		a.t.Errorf("livetest: an agent that serves everybody, dials everything or stays for good: %q", args)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		a.t.Errorf("livetest: %v", err)
		return
	}
	a.mu.Lock()
	a.listen[pod.UID] = ln.Addr().String()
	a.mu.Unlock()
	a.running.Go(func() {
		if err := server.Serve(a.ctx, ln); err != nil {
			a.t.Errorf("livetest: %v", err)
		}
	})
}

// dial reaches what pods reach: those of their cluster, gateways, and APIs.
func (a *agents) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	for _, c := range a.mesh.set.Clusters {
		if k, ok := cluster.As[cluster.Kube](c); ok && strings.TrimPrefix(k.APIServer().URL, "https://") == addr {
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
	}
	return a.c.Dial(ctx, cluster.Workload{}, addr)
}
