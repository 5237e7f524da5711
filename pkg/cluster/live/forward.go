// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"net"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/streaming/pkg/httpstream"
)

// tunnelTime bounds the making of a streaming connection to a pod.
const tunnelTime = 10 * time.Second

// forwarder opens streams into pods through the API server, each over a streaming
// connection of its own. A connection could carry many, but what is sent to a
// pod that has reset its end stays in the kubelet's queue, and with it all that
// comes behind: other streams go silent and new ones are never answered
// (github.com/moby/spdystream handleDataFrame).
type forwarder struct {
	config *rest.Config

	mu      sync.Mutex
	closed  bool
	tunnels map[*tunnel]bool
	running sync.WaitGroup
}

// tunnel is a streaming connection to one pod, for one stream.
type tunnel struct {
	conn    httpstream.Connection
	address string        // of the pod
	took    time.Duration // to make it
}

func newForwarder(config *rest.Config) *forwarder {
	return &forwarder{config: config, tunnels: map[*tunnel]bool{}}
}

// dial opens a stream to a port of a pod, as seen from the pod's loopback.
func (f *forwarder) dial(ctx context.Context, p *corev1.Pod, port uint16) (net.Conn, error) {
	if !f.begin() {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: net.ErrClosed}
	}
	defer f.running.Done()
	t, err := f.tunnel(ctx, p)
	if err != nil {
		if ctx.Err() != nil {
			err = &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
		}
		return nil, err
	}
	return f.stream(ctx, t, port)
}

// begin counts a dial in, unless it is too late for one.
func (f *forwarder) begin() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.running.Add(1)
	}
	return !f.closed
}

// tunnel makes a connection to a pod, which release ends.
func (f *forwarder) tunnel(ctx context.Context, p *corev1.Pod) (*tunnel, error) {
	making, stop := context.WithTimeout(ctx, tunnelTime)
	defer stop()
	begin := time.Now()
	conn, err := connectPod(making, f.config, p.Namespace, p.Name)
	if err != nil {
		return nil, err
	}
	t := &tunnel{conn: conn, address: p.Status.PodIP, took: time.Since(begin)}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		_ = conn.Close()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: net.ErrClosed}
	}
	f.tunnels[t] = true
	return t, nil
}

// release ends a connection.
func (f *forwarder) release(t *tunnel) {
	f.mu.Lock()
	delete(f.tunnels, t)
	f.mu.Unlock()
	_ = t.conn.Close() // its stream has ended
}

// Close ends every stream and waits for what serves them.
func (f *forwarder) Close() {
	f.mu.Lock()
	f.closed = true
	for t := range f.tunnels {
		_ = t.conn.Close() // its stream ends with it
	}
	f.mu.Unlock()
	f.running.Wait()
}
