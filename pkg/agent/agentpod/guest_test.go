// SPDX-License-Identifier: Apache-2.0

package agentpod_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/meshprobe/meshprobe/pkg/agent"
	"github.com/meshprobe/meshprobe/pkg/agent/agentpod"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab is a cluster that runs agents in this process.
type lab struct {
	t      *testing.T
	kube   *fake.Clientset
	broken string // reason for which pods wait for good

	mu     sync.Mutex
	born   int
	agents map[types.UID]*pipes // by UID of the pod
	ends   []context.CancelFunc
}

func newLab(t *testing.T, objects ...runtime.Object) *lab {
	t.Helper()
	l := &lab{t: t, kube: fake.NewClientset(objects...), agents: map[types.UID]*pipes{}}
	l.kube.PrependReactor("create", "jobs", func(a k8stesting.Action) (bool, runtime.Object, error) {
		job := a.(k8stesting.CreateAction).GetObject().(*batchv1.Job)
		if _, err := l.kube.Tracker().Get(batchv1.SchemeGroupVersion.WithResource("jobs"), job.Namespace, job.Name); err != nil {
			l.employ(job)
		}
		return false, nil, nil
	})
	l.kube.PrependReactor("delete", "namespaces", func(a k8stesting.Action) (bool, runtime.Object, error) {
		l.empty(a.(k8stesting.DeleteAction).GetName())
		return false, nil, nil
	})
	l.kube.PrependReactor("delete", "jobs", func(a k8stesting.Action) (bool, runtime.Object, error) {
		l.empty(a.GetNamespace())
		return true, nil, nil
	})
	// The last one is the first to run.
	l.kube.PrependReactor("create", "*", func(a k8stesting.Action) (bool, runtime.Object, error) {
		o := a.(k8stesting.CreateAction).GetObject().(metav1.Object)
		l.mu.Lock()
		l.born++
		o.SetUID(types.UID(string(rune('a' + l.born))))
		l.mu.Unlock()
		o.SetCreationTimestamp(metav1.Now())
		return false, nil, nil
	})
	return l
}

// employ runs the pod of a Job.
func (l *lab) employ(job *batchv1.Job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: job.Namespace, Name: "pod-of-" + string(job.UID), UID: "pod-of-" + job.UID, Labels: job.Spec.Template.Labels,
			CreationTimestamp: metav1.Now(), OwnerReferences: []metav1.OwnerReference{{UID: job.UID}},
		},
		Spec: job.Spec.Template.Spec,
	}
	if l.broken != "" {
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Image: pod.Spec.Containers[0].Image, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: l.broken}}}}
	} else {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		args := pod.Spec.Containers[0].Args
		caller := args[slices.Index(args, "--caller")+1]
		ln := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		ctx, end := context.WithCancel(context.WithoutCancel(l.t.Context()))
		l.agents[pod.UID], l.ends = ln, append(l.ends, end)
		go func() { _ = (&agent.Server{Caller: caller, Dial: answer}).Serve(ctx, ln) }()
	}
	if err := l.kube.Tracker().Add(pod); err != nil {
		l.t.Error(err)
	}
}

// answer is a target that says hello.
func answer(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	go func() { _, _ = io.WriteString(far, "hello"); _ = far.Close() }()
	return near, nil
}

// empty removes what is in a namespace.
func (l *lab) empty(namespace string) {
	jobs, pods := batchv1.SchemeGroupVersion.WithResource("jobs"), corev1.SchemeGroupVersion.WithResource("pods")
	_ = l.kube.Tracker().Delete(jobs, namespace, agentpod.Name)
	// The reactors of a fake run with its lock held.
	list, err := l.kube.Tracker().List(pods, corev1.SchemeGroupVersion.WithKind("Pod"), namespace)
	if err != nil {
		return
	}
	for _, p := range list.(*corev1.PodList).Items {
		_ = l.kube.Tracker().Delete(pods, namespace, p.Name)
	}
	l.end()
}

func (l *lab) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, end := range l.ends {
		end()
	}
	l.ends = nil
}

func (l *lab) forward(ctx context.Context, pod *corev1.Pod, port uint16) (net.Conn, error) {
	l.mu.Lock()
	ln := l.agents[pod.UID]
	l.mu.Unlock()
	if ln == nil || port != agentpod.Port {
		return nil, errors.New("there is no such pod")
	}
	return ln.dial(ctx)
}

func (l *lab) options() agentpod.Options {
	return agentpod.Options{Kube: l.kube, Forward: l.forward, Image: "meshprobe:dev", Hosts: []string{"10.0.0.1"}}
}

// left names the namespaces, and the jobs and pods in them.
func (l *lab) left() []string {
	l.t.Helper()
	var out []string
	namespaces, err := l.kube.CoreV1().Namespaces().List(l.t.Context(), metav1.ListOptions{})
	if err != nil {
		l.t.Fatal(err)
	}
	for _, ns := range namespaces.Items {
		out = append(out, ns.Name)
		jobs, _ := l.kube.BatchV1().Jobs(ns.Name).List(l.t.Context(), metav1.ListOptions{})
		pods, _ := l.kube.CoreV1().Pods(ns.Name).List(l.t.Context(), metav1.ListOptions{})
		for range len(jobs.Items) {
			out = append(out, "job")
		}
		for range len(pods.Items) {
			out = append(out, "pod")
		}
	}
	return out
}

func TestGuest(t *testing.T) {
	kept := agentpod.Ground()
	kept.UID = "n"
	for name, objects := range map[string][]runtime.Object{"of-its-own": nil, "kept": {kept}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, objects...)
				defer l.end()
				before := l.left()
				g, err := l.options().Start(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = g.Stop(t.Context()) }() // the second time, but where the test ended early
				if !g.Knows("10.0.0.1") || g.Knows("10.0.0.2") {
					t.Error("it knows other hosts than it was told of")
				}
				// Long after an agent ends that nobody speaks to it still serves.
				<-time.After(10 * agentpod.Idle)
				conn, err := g.Dial(t.Context(), "10.0.0.1:80")
				if err != nil {
					t.Fatal(err)
				}
				if r, ok := conn.(interface{ Relayed() bool }); !ok || !r.Relayed() {
					t.Error("the stream does not say that it is relayed")
				}
				text := make([]byte, len("hello"))
				if _, err := io.ReadFull(conn, text); err != nil || string(text) != "hello" {
					t.Errorf("read %q, %v", text, err)
				}
				_ = conn.Close()
				for range 2 {
					if err := g.Stop(t.Context()); err != nil {
						t.Error(err)
					}
				}
				if diff := cmp.Diff(before, l.left()); diff != "" {
					t.Errorf("what is there afterwards (-before +after):\n%s", diff)
				}
				if _, err := g.Dial(t.Context(), "10.0.0.1:80"); err == nil {
					t.Error("it dials after it has left")
				}
			})
		})
	}
}

// TestSecondGuest: a guest waits for the one that is there, which it leaves
// alone as long as somebody speaks to it.
func TestSecondGuest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		defer l.end()
		first, err := l.options().Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = first.Stop(t.Context()) }() // as above
		impatient := l.options()
		impatient.Wait = time.Minute
		_, err = impatient.Start(t.Context())
		if said, ok := errors.AsType[*agentpod.Error](err); !ok || !strings.Contains(said.Msg, "another check has its agent in it") {
			t.Errorf("the second one: %v", err)
		}
		if _, err := first.Dial(t.Context(), "10.0.0.1:80"); err != nil {
			t.Errorf("the first one after that: %v", err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			<-time.After(30 * time.Second)
			if err := first.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
		began := time.Now()
		second, err := impatient.Start(t.Context())
		if took := time.Since(began); err != nil || took < 30*time.Second || took > 40*time.Second {
			t.Fatalf("the second one after %s: %v", took, err)
		}
		wg.Wait()
		if err := second.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestAbandoned: what a killed check left is removed by the next one.
func TestAbandoned(t *testing.T) {
	for _, tc := range []struct {
		name    string
		abandon func(t *testing.T, l *lab)
		within  time.Duration
	}{
		{"agent-runs", func(t *testing.T, l *lab) {
			t.Helper()
			job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: agentpod.Namespace, Name: agentpod.Name}}
			job.Spec.Template.Labels = map[string]string{"app.kubernetes.io/component": agentpod.Name}
			job.Spec.Template.Spec = agentpod.Pod{Args: []string{"--caller", agent.NewToken().Hash()}}.Spec()
			if _, err := l.kube.BatchV1().Jobs(agentpod.Namespace).Create(t.Context(), job, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}, 30 * time.Second},
		{"job-has-ended", func(t *testing.T, l *lab) {
			t.Helper()
			job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: agentpod.Namespace, Name: agentpod.Name, UID: "j"}}
			job.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobFailed, Status: corev1.ConditionTrue}}
			if err := l.kube.Tracker().Add(job); err != nil {
				t.Fatal(err)
			}
		}, 5 * time.Second},
		{"namespace-only", func(*testing.T, *lab) {}, time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: agentpod.Namespace, UID: "n", Labels: map[string]string{"app.kubernetes.io/managed-by": "meshprobe"}}}
				l := newLab(t, ns)
				defer l.end()
				tc.abandon(t, l)
				began := time.Now()
				g, err := l.options().Start(t.Context())
				if took := time.Since(began); err != nil || took > tc.within {
					t.Fatalf("after %s: %v", took, err)
				}
				if err := g.Stop(t.Context()); err != nil {
					t.Error(err)
				}
				if left := l.left(); len(left) > 0 {
					t.Errorf("left: %q", left)
				}
			})
		})
	}
}

// TestNoGuest: where there is none, nothing is left of the attempt.
func TestNoGuest(t *testing.T) {
	refused := func(resource string) func(*lab) {
		return func(l *lab) {
			l.kube.PrependReactor("create", resource, func(k8stesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: resource}, "x", errors.New("no"))
			})
		}
	}
	somebodys := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: agentpod.Namespace, UID: "n"}}
	for _, tc := range []struct {
		name    string
		objects []runtime.Object
		arrange func(*lab)
		want    string
		left    []string
	}{
		{"no-image", nil, func(l *lab) { l.broken = "ImagePullBackOff" }, "its agent does not run: ImagePullBackOff, image meshprobe:dev", nil},
		{"never-runs", nil, func(l *lab) { l.broken = "ContainerCreating" }, "its agent does not run: ContainerCreating", nil},
		{"may-not-create-jobs", nil, refused("jobs"), "forbidden", nil},
		{"may-not-create-namespaces", nil, refused("namespaces"), "forbidden", nil},
		{"somebody-elses-namespace", []runtime.Object{somebodys}, func(*lab) {}, "that meshprobe did not make", []string{agentpod.Namespace}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, tc.objects...)
				defer l.end()
				tc.arrange(l)
				_, err := l.options().Start(t.Context())
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("error %v, want %q", err, tc.want)
				}
				if diff := cmp.Diff(tc.left, l.left()); diff != "" {
					t.Errorf("left (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// pipes is a listener without a network.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipes) Close() error {
	close(p.done)
	return nil
}

// Addr implements net.Listener.
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }
