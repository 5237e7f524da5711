// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"net"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/streaming/pkg/httpstream"
)

const (
	// maxTunnels bounds the pods that streams are kept to; idle ones make room.
	maxTunnels = 32

	// tunnelTime bounds the making of a streaming connection to a pod.
	tunnelTime = 10 * time.Second
)

// forwarder opens streams into pods through the API server. It keeps one
// streaming connection per pod, over which many streams go.
type forwarder struct {
	config *rest.Config

	mu      sync.Mutex
	closed  bool
	tunnels map[types.UID]*tunnel
	running sync.WaitGroup
}

// tunnel is a streaming connection to one pod. What is below ready is read only
// after it was closed.
type tunnel struct {
	namespace, pod string
	address        string
	stop           context.CancelFunc

	ready chan struct{}
	conn  httpstream.Connection
	took  time.Duration
	err   error

	mu   sync.Mutex
	open int // streams
	next int // request ID
	used time.Time
	gone bool // takes no more streams
}

func newForwarder(config *rest.Config) *forwarder {
	return &forwarder{config: config, tunnels: map[types.UID]*tunnel{}}
}

// dial opens a stream to a port of a pod, as seen from the pod's loopback.
func (f *forwarder) dial(ctx context.Context, p *corev1.Pod, port uint16) (net.Conn, error) {
	for {
		t, err := f.tunnel(ctx, p)
		if err != nil {
			return nil, err
		}
		select {
		case <-t.ready:
		case <-ctx.Done():
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
		}
		if t.err != nil {
			f.drop(p.UID, t)
			return nil, t.err
		}
		id, ok := t.hold()
		if !ok {
			f.drop(p.UID, t)
			continue // it died since; the next one is fresh
		}
		return f.stream(ctx, t, id, port)
	}
}

// tunnel finds the connection to a pod, or begins to make it.
func (f *forwarder) tunnel(ctx context.Context, p *corev1.Pod) (*tunnel, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: net.ErrClosed}
	}
	if t := f.tunnels[p.UID]; t != nil {
		return t, nil
	}
	f.makeRoom()
	t := &tunnel{namespace: p.Namespace, pod: p.Name, address: p.Status.PodIP, ready: make(chan struct{}), used: time.Now()}
	f.tunnels[p.UID] = t
	// Others may wait for the same connection, so that it does not end with
	// whoever asked first.
	making, stop := context.WithTimeout(context.WithoutCancel(ctx), tunnelTime)
	t.stop = stop
	f.running.Go(func() {
		defer stop()
		defer close(t.ready)
		begin := time.Now()
		t.conn, t.err = connectPod(making, f.config, t.namespace, t.pod)
		t.took = time.Since(begin)
	})
	return t, nil
}

// makeRoom lets go of the idle connection that was used longest ago.
func (f *forwarder) makeRoom() {
	if len(f.tunnels) < maxTunnels {
		return
	}
	var oldest types.UID
	var at time.Time
	for uid, t := range f.tunnels {
		t.mu.Lock()
		if t.open == 0 && (oldest == "" || t.used.Before(at)) {
			oldest, at = uid, t.used
		}
		t.mu.Unlock()
	}
	if t := f.tunnels[oldest]; t != nil {
		delete(f.tunnels, oldest)
		t.retire()
	}
}

// drop forgets a connection that is of no more use.
func (f *forwarder) drop(uid types.UID, t *tunnel) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tunnels[uid] == t {
		delete(f.tunnels, uid)
	}
}

// hold counts a stream in and says by which request ID, which no other stream
// has: a kubelet pairs streams by it, and two pairs of one ID would wait for each
// other until it gives them up. False says that the connection is dead.
func (t *tunnel) hold() (id int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.conn.CloseChan():
		t.gone = true
	default:
	}
	if t.gone {
		return 0, false
	}
	t.open++
	t.next++
	t.used = time.Now()
	return t.next, true
}

// release counts a stream out. The last one of a retired connection ends it.
func (t *tunnel) release() {
	t.mu.Lock()
	t.open--
	end := t.gone && t.open == 0
	t.mu.Unlock()
	if end {
		_ = t.conn.Close() // nothing is in flight
	}
}

// retire takes no more streams, and closes when the last one has ended.
func (t *tunnel) retire() {
	select {
	case <-t.ready:
	default:
		t.stop()
		return
	}
	t.mu.Lock()
	already, idle := t.gone, t.open == 0
	t.gone = true
	t.mu.Unlock()
	if !already && idle && t.conn != nil {
		_ = t.conn.Close() // nothing is in flight
	}
}

// Close ends every stream and waits for what serves them.
func (f *forwarder) Close() {
	f.mu.Lock()
	f.closed = true
	tunnels := f.tunnels
	f.tunnels = map[types.UID]*tunnel{}
	f.mu.Unlock()
	for _, t := range tunnels {
		t.stop()
		<-t.ready
		if t.conn != nil {
			_ = t.conn.Close() // its streams end with it
		}
	}
	f.running.Wait()
}
