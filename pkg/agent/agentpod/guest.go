// SPDX-License-Identifier: Apache-2.0

package agentpod

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/meshprobe/meshprobe/pkg/agent"
)

// What a guest is called. The names are fixed, so that the right to remove them
// is the right to remove nothing else.
const (
	Namespace = "meshprobe-check"
	Name      = "agent"

	// LabelKeep marks a namespace of that name that stays.
	LabelKeep = "meshprobe/keep"

	labelManaged   = "app.kubernetes.io/managed-by"
	labelComponent = "app.kubernetes.io/component"
	managedBy      = "meshprobe"
)

const (
	// DefaultLifetime is after which Kubernetes ends a guest, whatever happens.
	DefaultLifetime = 15 * time.Minute

	// DefaultWait is how long a guest may take to run.
	DefaultWait = 2 * time.Minute

	// Idle is after which a guest ends by itself that nobody speaks to.
	Idle = time.Minute

	// greeting is how often its owner speaks to it, and gone is after which
	// silence says that there is no owner any more.
	greeting = 5 * time.Second
	gone     = 4 * greeting

	pace     = 250 * time.Millisecond // of looking whether something is there, or gone
	patience = time.Second            // of asking whether somebody else is done
)

// Options of a guest. Kube, Forward and Image are required.
type Options struct {
	Kube     kubernetes.Interface // may do what Rules say
	Forward  Forward
	Image    string        // of meshprobe
	Hosts    []string      // the only ones that it dials, as they will be asked for
	Lifetime time.Duration // 0 means DefaultLifetime
	Wait     time.Duration // 0 means DefaultWait
}

// Guest is an agent in a cluster for the time of one check. It is safe for
// concurrent use.
type Guest struct {
	o     Options
	token agent.Token
	place place
	pod   *corev1.Pod

	cancel   context.CancelFunc
	greeting sync.WaitGroup
	stop     sync.Once
	stopped  error
}

// Start puts a guest into the cluster and waits until it takes streams. Where
// another one is there it waits until that one has left, and removes it where
// its owner is gone. The errors are the API's, *[Error] and that of ctx; then
// nothing is left in the cluster. The caller calls Stop.
func (o Options) Start(ctx context.Context) (*Guest, error) {
	o.Lifetime, o.Wait = cmp.Or(o.Lifetime, DefaultLifetime), cmp.Or(o.Wait, DefaultWait)
	g := &Guest{o: o, token: agent.NewToken(), cancel: func() {}}
	wait, cancel := context.WithTimeout(ctx, o.Wait)
	defer cancel()
	err := g.claim(wait)
	if err == nil {
		err = g.ready(wait)
	}
	if err != nil {
		over, cancel := context.WithTimeout(context.WithoutCancel(ctx), removing)
		defer cancel()
		_ = g.Stop(over) // the first error says more
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	// What ends it is Stop, not the end of the set-up.
	greet, stop := context.WithCancel(context.WithoutCancel(ctx))
	g.cancel = stop
	g.greeting.Go(func() { g.greet(greet) })
	return g, nil
}

// Dial opens a stream to host:port as a pod of the cluster does; see [Dial].
func (g *Guest) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return Dial(ctx, g.o.Forward, g.pod, g.token, addr)
}

// Knows says whether the guest was told of a host.
func (g *Guest) Knows(host string) bool { return slices.Contains(g.o.Hosts, host) }

// greet keeps the guest from thinking that its owner is gone.
func (g *Guest) greet(ctx context.Context) {
	tick := time.NewTicker(greeting)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_, _ = health(ctx, g.o.Forward, g.pod, g.token) // the next stream will say what is wrong
		}
	}
}

// health asks the agent in a pod for how long nobody spoke to it.
func health(ctx context.Context, forward Forward, pod *corev1.Pod, token agent.Token) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, greeting)
	defer cancel()
	stream, err := forward(ctx, pod, Port)
	if err != nil {
		return 0, err
	}
	return token.Health(ctx, stream)
}

// ready waits until the guest's pod takes streams.
func (g *Guest) ready(ctx context.Context) error {
	var pod *corev1.Pod
	for {
		found, err := g.find(ctx)
		if err == nil {
			pod = found
		}
		switch {
		case err != nil && ctx.Err() == nil:
			return fmt.Errorf("look for its agent: %w", err)
		case pod != nil && Ready(pod):
			g.pod = pod
			return nil
		case pod != nil && hopeless(pod), pause(ctx, pace) != nil:
			return &Error{
				Msg:  "its agent does not run: " + Waiting(pod),
				Hint: fmt.Sprintf("name an image of meshprobe that its nodes can get: --agent-image IMAGE; it was %s", g.o.Image),
			}
		}
	}
}

// find is the pod of the guest's Job, nil where there is none yet.
func (g *Guest) find(ctx context.Context) (*corev1.Pod, error) {
	pods, err := g.o.Kube.CoreV1().Pods(Namespace).List(ctx, metav1.ListOptions{LabelSelector: labelComponent + "=" + Name})
	if err != nil {
		return nil, err
	}
	for i := range pods.Items {
		// In a namespace that stays an earlier guest may still be leaving.
		if p := &pods.Items[i]; p.DeletionTimestamp == nil && (g.place.job == "" || ownedBy(p, g.place.job)) {
			return p, nil
		}
	}
	return nil, nil //nolint:nilnil // no pod is an answer
}

func ownedBy(p *corev1.Pod, owner types.UID) bool {
	return slices.ContainsFunc(p.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == owner })
}

// hopeless says that waiting longer would not help.
func hopeless(pod *corev1.Pod) bool {
	for _, s := range pod.Status.ContainerStatuses {
		if w := s.State.Waiting; w != nil {
			switch w.Reason {
			case "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError":
				return true
			}
		}
	}
	return pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (o Options) namespace() *corev1.Namespace {
	labels := NamespaceLabels()
	labels[labelManaged] = managedBy
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace, Labels: labels}}
}

// job has a deadline, and is removed as soon as it has ended.
func (g *Guest) job() *batchv1.Job {
	labels := PodLabels()
	maps.Copy(labels, map[string]string{labelManaged: managedBy, labelComponent: Name})
	args := []string{"--idle", Idle.String(), "--caller", g.token.Hash()}
	for _, h := range g.o.Hosts {
		args = append(args, "--host", h)
	}
	spec := Pod{Image: g.o.Image, Args: args, Lifetime: g.o.Lifetime}.Spec()
	spec.RestartPolicy = corev1.RestartPolicyNever
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: Name, Labels: map[string]string{labelManaged: managedBy, labelComponent: Name}},
		Spec: batchv1.JobSpec{
			BackoffLimit: new(int32(0)), ActiveDeadlineSeconds: new(int64(g.o.Lifetime / time.Second)), TTLSecondsAfterFinished: new(int32(0)),
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec},
		},
	}
}
