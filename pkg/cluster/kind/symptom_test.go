// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// What everybody says in passing where the machine has cgroup v1.
const onV1 = `could not find a log line that matches "Reached target .*Multi-User System.*|detected cgroup v1"
INFO: detected cgroup v1
W1121 10:01:02.123456     311 container_manager.go:52] cgroup v1 support is in maintenance mode, please migrate to cgroup v2
	[WARNING SystemVerification]: cgroups v1 support is in maintenance mode, please migrate to cgroups v2
`

// TestHints holds the hints to lines as they were logged.
func TestHints(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"nothing known":                   {"exit status 1", ""},
		"cgroup v1 that does no harm":     {onV1, ""},
		"inotify, kubelet":                {onV1 + `E1121 10:01:03.000001     311 run.go:72] "command failed" err="failed to run Kubelet: unable to create file watcher: too many open files"`, "fs.inotify.max_user_instances=512"},
		"inotify, cAdvisor":               {`E0812 16:26:52.166955  111106 kubelet.go:1480] "Failed to start cAdvisor" err="inotify_init: too many open files"`, "fs.inotify.max_user_instances=512"},
		"inotify, systemd":                {"Failed to create control group inotify object: Too many open files\nFailed to allocate manager object: Too many open files\n[!!!!!!] Failed to allocate manager object.", "fs.inotify.max_user_instances=512"},
		"inotify, watches":                {`"Failed to start cAdvisor" err="inotify_add_watch /sys/fs/cgroup/kubepods.slice: no space left on device"`, "fs.inotify.max_user_watches=524288"},
		"disk":                            {onV1 + "docker: Error response from daemon: failed to copy files: copy file range failed: no space left on device.", "docker system df"},
		"disk, eviction":                  {"event Evicted: The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 900Mi.", "docker system df"},
		"disk, taint":                     {"event FailedScheduling: 0/1 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/disk-pressure: }.", "docker system df"},
		"cgroup v1, kubelet":              {onV1 + `E1112 12:19:21.474821    4756 run.go:72] "command failed" err="failed to validate kubelet configuration, error: kubelet is configured to not run on a host using cgroup v1. cgroup v1 support is unsupported and will be removed in a future release, path: &TypeMeta{Kind:,APIVersion:,}"`, "cgroup v2"},
		"cgroup v1, systemd":              {"Refusing to run under cgroup v1, SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1 not specified on kernel command line.\n[!!!!!!] Failed to mount API filesystems.", "cgroup v2"},
		"daemon stopped":                  {"Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?", "systemctl start docker"},
		"daemon stopped, later":           {"failed to connect to the docker API at unix:///var/run/docker.sock; check if the path is correct and if the daemon is running: dial unix /var/run/docker.sock: connect: no such file or directory", "systemctl start docker"},
		"node image, none":                {`failed to pull image "kindest/nod:v1.34.0": command "docker pull kindest/nod:v1.34.0" failed with error: exit status 1` + "\nError response from daemon: pull access denied for kindest/nod, repository does not exist or may require 'docker login'", "--kind-image"},
		"node image, no such tag":         {"Error response from daemon: manifest for kindest/node:v9.9.9 not found: manifest unknown: manifest unknown", "--kind-image"},
		"node image, no registry":         {`failed to pull image "kindest/node:v1.37.0": command "docker pull kindest/node:v1.37.0" failed with error: exit status 1` + "\nError response from daemon: Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host", "--kind-image"},
		"image of Istio":                  {`event Failed: Failed to pull image "docker.io/istio/pilot:1.31.0": rpc error: code = DeadlineExceeded desc = failed to pull and unpack image "docker.io/istio/pilot:1.31.0": failed to resolve reference`, "docker pull docker.io/istio/pilot:1.31.0, then --load-image docker.io/istio/pilot:1.31.0"},
		"image of this machine":           {`event Failed: Failed to pull image "localhost/istio/pilot:1.31-local": failed to pull and unpack image "localhost/istio/pilot:1.31-local": failed to do request: Head "https://localhost/v2/istio/pilot/manifests/1.31-local": dial tcp [::1]:443: connect: connection refused`, "--load-image localhost/istio/pilot:1.31-local"},
		"image that must not be pulled":   {`event ErrImageNeverPull: Container image "localhost/app:1" is not present with pull policy of Never`, "--load-image localhost/app:1"},
		"cluster exists":                  {`node(s) already exist for a cluster with the name "meshprobe-demo-east"`, "meshprobe clusters delete"},
		"container exists":                {`docker: Error response from daemon: Conflict. The container name "/meshprobe-demo-east-control-plane" is already in use by container "0123". You have to remove (or rename) that container to be able to reuse that name.`, "meshprobe clusters delete"},
		"memory":                          {"runtime: cannot allocate memory", "more memory"},
		"memory, killed":                  {"systemd[1]: kubelet.service: Failed with result 'oom-kill'.", "more memory"},
		"memory, scheduler":               {"event FailedScheduling: 0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.", "more memory"},
		"processors, scheduler":           {"event FailedScheduling: 0/1 nodes are available: 1 Insufficient cpu.", "more processors"},
		"containers without their rights": {"OCI runtime create failed: container_linux.go:380: starting container process caused: apply caps: unable to apply caps: operation not permitted: unknown.", "privileged"},
	} {
		t.Run(name, func(t *testing.T) {
			got := hintFor(tc.text)
			if tc.want == "" && len(got) > 0 || tc.want != "" && !strings.Contains(strings.Join(got, "; "), tc.want) {
				t.Errorf("hints %q, want %q", got, tc.want)
			}
		})
	}
}

// TestPermission tells a daemon that refuses from one that is not there, as
// the versions of Docker say it.
func TestPermission(t *testing.T) {
	for said, want := range map[string]string{
		"Got permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get \"http://%2Fvar%2Frun%2Fdocker.sock/v1.24/info\": dial unix /var/run/docker.sock: connect: permission denied": "usermod",
		"permission denied while trying to connect to the docker API at unix:///var/run/docker.sock":                                                                                                                                 "usermod",
		"failed to connect to the docker API at unix:///var/run/docker.sock; check if the path is correct and if the daemon is running: dial unix /var/run/docker.sock: connect: no such file or directory":                          "systemctl start docker",
		"Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?":                                                                                                                          "systemctl start docker",
		"context \"colima\": context not found": "docker info",
	} {
		e, ok := errors.AsType[*Error](dockerFailure(errors.New(said)))
		if !ok || !strings.Contains(strings.Join(e.Hint, "; "), want) {
			t.Errorf("%s: %v", said, e)
		}
	}
}

// TestExists refuses a mesh of which something is there.
func TestExists(t *testing.T) {
	fakeDocker(t, `case "$1" in ps) echo meshprobe-demo-west;; version) echo 29.0.0;; esac`)
	top, err := cluster.Default(2)
	if err != nil {
		t.Fatal(err)
	}
	b := &builder{p: &Provider{}, mesh: "demo", topology: top}
	e, ok := errors.AsType[*Error](b.existing())
	if !ok || e.Cluster != "west" || !slices.Contains(e.Hint, "remove it: meshprobe clusters delete demo") {
		t.Errorf("%+v", e)
	}
	b.mesh = "other"
	if err := b.existing(); err != nil {
		t.Error(err)
	}
}

// TestOldCgroups refuses what cannot come up before anything is pulled.
func TestOldCgroups(t *testing.T) {
	fakeDocker(t, `case "$1" in info) echo '{"ServerVersion":"29","MemTotal":99999999999,"CgroupVersion":"1"}';; esac`)
	b := &builder{p: &Provider{}, mesh: "demo"}
	e, ok := errors.AsType[*Error](b.preflight(t.Context()))
	if !ok || !strings.Contains(e.Error(), "cgroup v1") || len(e.Hint) != 1 || !strings.Contains(e.Hint[0], "failCgroupV1: false") {
		t.Errorf("%+v", e)
	}
	b.p = &Provider{NodeImage: "older"}
	if err := b.preflight(t.Context()); err != nil {
		t.Error(err)
	}
}

// fakeDocker puts a docker command first on PATH.
func fakeDocker(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
}

// TestStuck tells of the pods that do not get ready, and of no credential.
func TestStuck(t *testing.T) {
	at := func(minute int) metav1.Time { return metav1.NewTime(time.Date(2026, 1, 2, 3, minute, 0, 0, time.UTC)) }
	event := func(name string, minute int, kind, reason, message string) *corev1.Event {
		return &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, InvolvedObject: corev1.ObjectReference{Name: "ratings-1"},
			Type: kind, Reason: reason, Message: message, LastTimestamp: at(minute),
		}
	}
	const pull = `Failed to pull image "example.com/none:1": not found`
	kube := fake.NewClientset(
		&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "ratings-1"},
			Status: corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{
				{Name: "app", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}},
				{Name: "istio-proxy", ContainerID: "containerd://1", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
			}},
		},
		&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "reviews-1"},
			Status:     corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
		},
		event("b", 1, corev1.EventTypeNormal, "Pulling", "Pulling image"),
		event("c", 2, corev1.EventTypeWarning, "Failed", pull),
		event("a", 3, corev1.EventTypeWarning, "FailedMount", "token: "+"abcdef"),
	)
	a := &api{kube: kube}
	want := []string{
		"pod shop/ratings-1 is Pending, app: ImagePullBackOff",
		"event Failed: " + pull,
		"log of istio-proxy: fake logs",
	}
	if got := a.stuck(t.Context()); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}

	ctx, cancel := context.WithTimeoutCause(t.Context(), 0, errSlow)
	defer cancel()
	<-ctx.Done()
	b := &builder{p: &Provider{Timeout: time.Minute}}
	e, ok := errors.AsType[*Error](b.tellStuck(ctx, a, in("workloads", "east", errors.New("not running: shop/ratings"))))
	if !ok {
		t.Fatal("no *Error")
	}
	wanted := "kind: workloads: east: the set-up took too long: 1m0s were not enough: not running: shop/ratings\n  " + strings.Join(want, "\n  ")
	if got := e.Error(); got != wanted || !errors.Is(e, errSlow) {
		t.Errorf("got:\n%s\nwant:\n%s", got, wanted)
	}
	if hints := strings.Join(e.Hint, "; "); !strings.HasPrefix(hints, "give the nodes the image: docker pull example.com/none:1") || !strings.Contains(hints, "--setup-timeout 2m0s") {
		t.Errorf("hints %q", hints)
	}
	// Whoever pressed ^C knows why it ended.
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := b.tellStuck(ctx, a, in("workloads", "east", ctx.Err())); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "ratings") {
		t.Error(err)
	}
}
