// SPDX-License-Identifier: Apache-2.0

package federation_test

import (
	"bufio"
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/suites/e2e/kindtest"
)

// trafficNamespace is where clients call servers in a loop.
const trafficNamespace = "meshprobe-traffic"

// trafficObjects are two servers, one of which takes mTLS only, and a client. The
// servers end as those do that lose no call: they serve on until their callers
// know. IMAGE is that of the mesh's own workloads.
const trafficObjects = `
apiVersion: v1
kind: Namespace
metadata: {name: meshprobe-traffic, labels: {istio-injection: enabled}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {namespace: meshprobe-traffic, name: strict}
spec: {selector: {matchLabels: {app: strict}}, mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {namespace: meshprobe-traffic, name: permissive}
spec: {selector: {matchLabels: {app: permissive}}, mtls: {mode: PERMISSIVE}}
---
apiVersion: v1
kind: Service
metadata: {namespace: meshprobe-traffic, name: strict}
spec: {selector: {app: strict}, ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {namespace: meshprobe-traffic, name: permissive}
spec: {selector: {app: permissive}, ports: [{name: http, port: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {namespace: meshprobe-traffic, name: strict}
spec:
  selector: {matchLabels: {app: strict}}
  template:
    metadata: {labels: {app: strict}}
    spec:
      terminationGracePeriodSeconds: 30
      containers:
      - {name: app, image: IMAGE, imagePullPolicy: IfNotPresent, command: [/meshprobe, app, --listen, ":8080", --name, server], ports: [{containerPort: 8080}],
         lifecycle: {preStop: {sleep: {seconds: 8}}}, readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {namespace: meshprobe-traffic, name: client}
spec:
  selector: {matchLabels: {app: client}}
  template:
    metadata: {labels: {app: client}}
    spec:
      terminationGracePeriodSeconds: 30
      containers:
      - {name: app, image: IMAGE, imagePullPolicy: IfNotPresent, command: [/caller/caller, "PERMISSIVE=http://permissive:8080", "STRICT=http://strict:8080"],
         volumeMounts: [{name: caller, mountPath: /caller, readOnly: true}]}
      volumes: [{name: caller, hostPath: {path: /opt/meshprobe-caller}}]
`

// traffic counts calls.
type traffic struct {
	mu     sync.Mutex
	since  time.Time
	calls  map[string]int // by mode
	heard  map[string]int // by cluster and mode, from the beginning
	failed []failedCall
}

// failedCall is one that a client printed.
type failedCall struct {
	mode, where, why string
	at               time.Time
}

// callInALoop puts clients and servers into each cluster, and counts until the
// test ends.
func callInALoop(t *testing.T, set *cluster.Set) *traffic {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "caller")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", bin, "./caller")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	c := &traffic{calls: map[string]int{}, heard: map[string]int{}}
	for _, one := range set.Clusters {
		k, ok := cluster.As[cluster.Kube](one)
		if !ok {
			t.Fatal("no Kube")
		}
		node := kindtest.NodeOf(t, one)
		if out, err := node.Exec(t.Context(), "mkdir", "-p", "/opt/meshprobe-caller"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if out, err := exec.CommandContext(t.Context(), "docker", "cp", bin, string(node)+":/opt/meshprobe-caller/caller").CombinedOutput(); err != nil {
			t.Fatalf("docker cp: %v: %s", err, out)
		}
		removeTraffic(t, k.Kubernetes()) // of a run that was killed
		t.Cleanup(func() { removeTraffic(t, k.Kubernetes()) })
		makeTraffic(t, k)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for _, one := range set.Clusters {
		k, _ := cluster.As[cluster.Kube](one)
		all.Go(func() { c.follow(ctx, one.Name(), k.Kubernetes()) })
	}
	t.Cleanup(func() { cancel(); all.Wait() })
	c.await(t, len(set.Clusters))
	return c
}

// makeTraffic makes the objects of one cluster and waits for the servers.
func makeTraffic(t *testing.T, k cluster.Kube) {
	t.Helper()
	app, err := k.Kubernetes().AppsV1().Deployments("").List(t.Context(), metav1.ListOptions{LabelSelector: "app=ratings"})
	if err != nil || len(app.Items) == 0 {
		t.Fatalf("the mesh has no workload ratings: %v", err)
	}
	image := app.Items[0].Spec.Template.Spec.Containers[0].Image
	text := strings.ReplaceAll(trafficObjects, "IMAGE", image)
	for doc := range strings.SplitSeq(text, "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &o.Object); err != nil {
			t.Fatalf("%v:\n%s", err, doc)
		}
		create(t, k.Dynamic(), o)
		if o.GetKind() == "Deployment" && o.GetName() == "strict" {
			if err := yaml.Unmarshal([]byte(strings.ReplaceAll(doc, "strict", "permissive")), &o.Object); err != nil {
				t.Fatal(err)
			}
			create(t, k.Dynamic(), o)
		}
	}
}

func create(t *testing.T, dyn dynamic.Interface, o *unstructured.Unstructured) {
	t.Helper()
	gvk := o.GroupVersionKind()
	gvr := schema.GroupVersionResource{Group: gvk.Group, Version: gvk.Version, Resource: strings.ToLower(gvk.Kind) + "s"}
	if strings.HasSuffix(gvk.Kind, "Authentication") {
		gvr.Resource = "peerauthentications"
	}
	if _, err := dyn.Resource(gvr).Namespace(o.GetNamespace()).Create(t.Context(), o, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
	}
}

func removeTraffic(t *testing.T, k kubernetes.Interface) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 3*time.Minute)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	// Again and again, as a namespace that is deleted is there for a while.
	for {
		err := k.CoreV1().Namespaces().Delete(ctx, trafficNamespace, metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return
		}
		select {
		case <-ctx.Done():
			t.Errorf("namespace %s does not go: %v", trafficNamespace, err)
			return
		case <-tick.C:
		}
	}
}

// follow reads what every client prints, also those that come and go.
func (c *traffic) follow(ctx context.Context, where string, k kubernetes.Interface) {
	var all sync.WaitGroup
	defer all.Wait()
	read := map[string]bool{}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		pods, err := k.CoreV1().Pods(trafficNamespace).List(ctx, metav1.ListOptions{LabelSelector: "app=client"})
		if err == nil {
			for _, p := range pods.Items {
				if !read[p.Name] && p.Status.Phase == corev1.PodRunning {
					read[p.Name] = true
					all.Go(func() { c.read(ctx, where, k, p.Name) })
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// read takes every line that a client prints, once, however often the stream
// ends before the client does.
func (c *traffic) read(ctx context.Context, where string, k kubernetes.Interface, pod string) {
	last := ""
	for ctx.Err() == nil {
		stream, err := k.CoreV1().Pods(trafficNamespace).GetLogs(pod, &corev1.PodLogOptions{Container: "app", Follow: true, Timestamps: true}).Stream(ctx)
		if apierrors.IsNotFound(err) {
			return
		}
		if err != nil {
			<-time.After(100 * time.Millisecond)
			continue
		}
		for lines := bufio.NewScanner(stream); lines.Scan(); {
			at, line, _ := strings.Cut(lines.Text(), " ")
			if at > last { // they are of the same length
				last = at
				c.take(where, line)
			}
		}
		_ = stream.Close()
		p, err := k.CoreV1().Pods(trafficNamespace).Get(ctx, pod, metav1.GetOptions{})
		if err != nil || slices.ContainsFunc(p.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.Name == "app" && s.State.Terminated != nil }) {
			return
		}
	}
}

func (c *traffic) take(where, line string) {
	word, rest, _ := strings.Cut(line, " ")
	mode, rest, _ := strings.Cut(rest, " ")
	number, why, _ := strings.Cut(rest, " ")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch word {
	case "called":
		c.calls[mode] += int(n)
		c.heard[where+" "+mode] += int(n)
	case "failed":
		c.failed = append(c.failed, failedCall{mode, where, why, time.UnixMilli(n)})
	}
}

// await waits until every mode is called in every cluster and nothing fails for a
// while, and forgets what failed until then.
func (c *traffic) await(t *testing.T, clusters int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	last := 0
	for calm := 0; calm < 25; calm++ {
		select {
		case <-ctx.Done():
			t.Fatalf("clients do not call: %v", c.heard)
		case <-tick.C:
		}
		c.mu.Lock()
		if len(c.failed) != last || len(c.heard) < 2*clusters {
			last, calm = len(c.failed), 0
		}
		c.mu.Unlock()
	}
	c.reset()
}

func (c *traffic) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.calls)
	c.failed, c.since = nil, time.Now()
}

// tell logs the numbers since the last time, by mode, and returns what failed
// after a moment.
func (c *traffic) tell(t *testing.T, what string, both time.Time) (after []failedCall) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, mode := range slices.Sorted(maps.Keys(c.calls)) {
		early, late := 0, 0
		for _, f := range c.failed {
			switch {
			case f.mode != mode:
			case f.at.Before(both):
				early++
			default:
				late++
				after = append(after, f)
			}
		}
		t.Logf("%s: %s: %d calls, %d failed, of these %d since both roots are trusted", what, mode, c.calls[mode], early+late, late)
	}
	for i, f := range c.failed {
		if i < 20 {
			t.Logf("  %s %s %s: %s", f.at.Format("15:04:05.000"), f.where, f.mode, f.why)
		}
	}
	for _, mode := range []string{"PERMISSIVE", "STRICT"} {
		if seconds := int(time.Since(c.since).Seconds()); c.calls[mode] < 2*seconds {
			t.Errorf("%s: only %d calls to %s in %d s", what, c.calls[mode], mode, seconds)
		}
	}
	clear(c.calls)
	c.failed, c.since = nil, time.Now()
	return after
}
