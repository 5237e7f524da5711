// SPDX-License-Identifier: Apache-2.0

package federate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/meshprobe/meshprobe/pkg/agent/agentpod"
	"github.com/meshprobe/meshprobe/pkg/cluster"
)

const (
	agentNamespace = "meshprobe-federate"
	agentName      = "meshprobe-agent"
)

// Forwarder is the ability of a cluster to open a stream into a pod, as a
// port-forward does.
type Forwarder interface {
	// Forward opens a stream to a port of the pod, as seen from its loopback. The
	// caller owns the connection.
	Forward(ctx context.Context, pod *corev1.Pod, port uint16) (net.Conn, error)
}

// Pods puts an agent into clusters.
type Pods struct {
	Image    string        // of meshprobe
	Lifetime time.Duration // after which Kubernetes ends an agent, whatever happens; default 15 minutes
	Wait     time.Duration // for a pod to run; default 2 minutes
}

// Start puts one agent into each cluster and fills o.Agents, in which the CA keys
// are made from then on. Each has a namespace of its own, which restricted Pod
// Security guards, a service account that may create Secrets beside istiod and
// read and write those of its CA by name, and nothing else. The caller calls
// stop, also after an error, with a context that is not over.
func (p Pods) Start(ctx context.Context, set *cluster.Set, o *Options) (stop func(context.Context) error, err error) {
	f, err := open(set, *o)
	if err != nil {
		return func(context.Context) error { return nil }, err
	}
	stop = func(ctx context.Context) error {
		return each(f.members, f.opts.Parallel, func(m *member) error { return wrap(StepAgent, m.name, m.removeAgent(ctx)) })
	}
	agents := make(map[string]func(context.Context) (net.Conn, error), len(f.members))
	for _, m := range f.members {
		forward, ok := cluster.As[Forwarder](m.cluster)
		if !ok {
			return stop, wrap(StepAgent, m.name, errors.New("the provider opens no stream into a pod"))
		}
		pod := &corev1.Pod{}
		agents[m.name] = func(ctx context.Context) (net.Conn, error) { return forward.Forward(ctx, pod, agentpod.Port) }
		if err := p.start(ctx, m, pod); err != nil {
			return stop, wrap(StepAgent, m.name, err)
		}
	}
	o.Agents = agents
	return stop, nil
}

func (m *member) kube() kubernetes.Interface {
	k, _ := cluster.As[cluster.Kube](m.cluster) // open has seen it
	return k.Kubernetes()
}

func (p Pods) start(ctx context.Context, m *member, into *corev1.Pod) error {
	// What a killed run left is of another life.
	if err := m.removeAgent(ctx); err != nil {
		return err
	}
	if err := m.allowAgent(ctx); err != nil {
		return err
	}
	if _, err := m.kube().CoreV1().Pods(agentNamespace).Create(ctx, p.pod(m), metav1.CreateOptions{}); err != nil {
		return err
	}
	wait, cancel := context.WithTimeout(ctx, cmp.Or(p.Wait, 2*time.Minute))
	defer cancel()
	for {
		pod, err := m.kube().CoreV1().Pods(agentNamespace).Get(wait, agentName, metav1.GetOptions{})
		if err == nil && agentpod.Ready(pod) {
			*into = *pod
			return nil
		}
		if err == nil && pod.Status.Phase == corev1.PodFailed {
			return fmt.Errorf("its agent failed: %s %s", pod.Status.Reason, pod.Status.Message)
		}
		if pause(wait, 250*time.Millisecond) != nil {
			return fmt.Errorf("its agent does not run: %s", agentpod.Waiting(pod))
		}
	}
}

func (m *member) agentMeta(namespace string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: agentName, Labels: map[string]string{labelManaged: managedBy, labelMesh: m.f.opts.Mesh}}
}

// allowAgent makes the namespace, the service account and its rights.
func (m *member) allowAgent(ctx context.Context) error {
	meta := m.agentMeta("")
	meta.Name = agentNamespace
	maps.Copy(meta.Labels, agentpod.NamespaceLabels())
	_, nsErr := m.kube().CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: meta}, metav1.CreateOptions{})
	if err := there(nsErr); err != nil {
		return err
	}
	_, saErr := m.kube().CoreV1().ServiceAccounts(agentNamespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: m.agentMeta(agentNamespace)}, metav1.CreateOptions{})
	_, roleErr := m.kube().RbacV1().Roles(m.ns).Create(ctx, &rbacv1.Role{ObjectMeta: m.agentMeta(m.ns), Rules: agentRules()}, metav1.CreateOptions{})
	_, bindErr := m.kube().RbacV1().RoleBindings(m.ns).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: m.agentMeta(m.ns),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: agentName},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: agentNamespace, Name: agentName}},
	}, metav1.CreateOptions{})
	return errors.Join(there(saErr), there(roleErr), there(bindErr))
}

func there(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// agentRules are what an agent may. RBAC cannot name what is to be created.
func agentRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"create"}},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "update", "delete"}, ResourceNames: []string{caSecret, caKeySecret, backupName(secrets, caSecret)}},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}, ResourceNames: []string{selfSigned}},
	}
}

func (p Pods) pod(m *member) *corev1.Pod {
	life := cmp.Or(p.Lifetime, 15*time.Minute)
	meta := m.agentMeta(agentNamespace)
	maps.Copy(meta.Labels, agentpod.PodLabels())
	spec := agentpod.Pod{
		Image: p.Image, Account: agentName, Lifetime: life,
		Args: []string{"--ca-namespace", m.ns, "--ca-cluster", m.name, "--ca-mesh", m.f.opts.Mesh},
	}.Spec()
	spec.RestartPolicy, spec.ActiveDeadlineSeconds = corev1.RestartPolicyNever, new(int64(life/time.Second))
	return &corev1.Pod{ObjectMeta: meta, Spec: spec}
}

// removeAgent removes an agent with all its rights, and waits until its
// namespace is gone.
func (m *member) removeAgent(ctx context.Context) error {
	now := metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}
	for _, gone := range []error{
		m.kube().RbacV1().RoleBindings(m.ns).Delete(ctx, agentName, now),
		m.kube().RbacV1().Roles(m.ns).Delete(ctx, agentName, now),
		m.kube().CoreV1().Pods(agentNamespace).Delete(ctx, agentName, now),
		m.kube().CoreV1().Namespaces().Delete(ctx, agentNamespace, metav1.DeleteOptions{}),
	} {
		if gone != nil && !apierrors.IsNotFound(gone) && !apierrors.IsConflict(gone) {
			return gone
		}
	}
	wait, cancel := context.WithTimeout(ctx, m.f.opts.StepTimeout)
	defer cancel()
	for {
		_, err := m.kube().CoreV1().Namespaces().Get(wait, agentNamespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if pause(wait, 250*time.Millisecond) != nil {
			return fmt.Errorf("namespace %s does not go", agentNamespace)
		}
	}
}
