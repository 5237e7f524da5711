// SPDX-License-Identifier: Apache-2.0

package livetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/cluster/embedded/kubeapi"
)

// protocol is the only version that kubelets speak.
const protocol = "portforward.k8s.io"

// forwards serves port-forwards into the pods of one embedded cluster, over
// SPDY: a websocket is refused, so that clients fall back.
type forwards struct {
	t      testing.TB
	c      cluster.Cluster
	agents *agents

	mu      sync.Mutex
	ended   bool
	running sync.WaitGroup
}

// begin carries a pair of streams, unless it is too late for more: a connection
// may outlive its test.
func (f *forwards) begin(carry func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.running.Go(carry)
	}
	return !f.ended
}

func (f *forwards) wait() {
	f.mu.Lock()
	f.ended = true
	f.mu.Unlock()
	f.running.Wait()
}

func (f *forwards) serve(w http.ResponseWriter, r *http.Request, q kubeapi.Request) {
	kube, _ := cluster.As[cluster.Kube](f.c)
	pod, err := kube.Kubernetes().CoreV1().Pods(q.Namespace).Get(r.Context(), q.Name, metav1.GetOptions{})
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	if r.Header.Get("Upgrade") == "websocket" {
		http.Error(w, "no websockets here", http.StatusBadRequest)
		return
	}
	if _, err := httpstream.Handshake(r, w, []string{protocol}); err != nil {
		return // it has answered
	}
	streams, over := make(chan httpstream.Stream), make(chan struct{})
	defer close(over)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error {
		select {
		case streams <- s:
			return nil
		case <-over:
			return errors.New("the forward is over") // the stream is reset
		}
	})
	if conn == nil {
		return
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	// A pair is complete when both of its streams are there; either may come first.
	waiting, pairs := map[string]httpstream.Stream{}, 0
	defer func() {
		for _, s := range waiting {
			_ = s.Reset() // a connection ends when its streams have
		}
	}()
	for {
		select {
		case <-conn.CloseChan():
			return
		case s := <-streams:
			id := s.Headers().Get(corev1.PortForwardRequestIDHeader)
			other, ok := waiting[id]
			if !ok {
				waiting[id] = s
				continue
			}
			delete(waiting, id)
			if pairs++; pairs > 1 {
				f.t.Errorf("livetest: a connection to %s/%s carries two streams, of which one can stop the other", pod.Namespace, pod.Name)
			}
			if s.Headers().Get(corev1.StreamType) == other.Headers().Get(corev1.StreamType) {
				// A kubelet refuses the second and lets the first wait (k8s.io/kubelet
				// pkg/cri/streaming/portforward, httpStreamPair.add).
				f.t.Errorf("livetest: two streams of one kind have the request ID %s", id)
			}
			data, complaint := s, other
			if s.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
				data, complaint = other, s
			}
			if !f.begin(func() { f.carry(ctx, pod, data, complaint) }) {
				_, _ = data.Reset(), complaint.Reset()
				return
			}
		}
	}
}

// carry connects one pair of streams to a port of a pod, as a kubelet does from
// the pod's loopback.
func (f *forwards) carry(ctx context.Context, pod *corev1.Pod, data, complaint httpstream.Stream) {
	defer func() { _, _, _ = data.Reset(), complaint.Close(), complaint.Reset() }()
	port, err := strconv.Atoi(data.Headers().Get(corev1.PortHeader))
	if err != nil {
		_, _ = fmt.Fprint(complaint, "no port")
		return
	}
	if captured(pod) && port != cluster.PortHBONE && port < 15000 {
		// It would meet the application behind the proxy.
		f.t.Errorf("livetest: a port-forward to %d of %s/%s, which its proxy captures", port, pod.Namespace, pod.Name)
	}
	conn, err := f.dial(ctx, pod, port)
	if err != nil {
		_, _ = fmt.Fprintf(complaint, "error forwarding port %d to pod %s: %v", port, pod.Name, err)
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	var sending sync.WaitGroup
	sending.Go(func() {
		_, _ = io.Copy(conn, data)
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	})
	_, _ = io.Copy(data, conn)
	_, _ = data.Close(), data.Reset()
	sending.Wait()
}

func (f *forwards) dial(ctx context.Context, pod *corev1.Pod, port int) (net.Conn, error) {
	if at, ok := f.agents.at(pod, port); ok {
		return new(net.Dialer).DialContext(ctx, "tcp", at)
	}
	return f.c.Dial(ctx, cluster.Workload{}, net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(port)))
}

func captured(pod *corev1.Pod) bool {
	if pod.Annotations["ambient.istio.io/redirection"] == "enabled" {
		return true
	}
	for _, c := range pod.Spec.Containers {
		if c.Name == "istio-proxy" && len(pod.Spec.Containers) > 1 {
			return true
		}
	}
	return false
}
