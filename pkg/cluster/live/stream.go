// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// A port-forward does not say when the pod has taken the connection, only when
// it has not. The wait for that word is as long as the way there and back took
// before, within these bounds; a refusal that comes later is the error of the
// first read.
const (
	leastGrace = 20 * time.Millisecond
	mostGrace  = 250 * time.Millisecond
)

// maxComplaint bounds what a kubelet says about a failed forward.
const maxComplaint = 4 << 10

// stream opens the stream of a connection, and owns the connection from then on.
func (f *forwarder) stream(ctx context.Context, t *tunnel, port uint16) (net.Conn, error) {
	complaints, data, err := f.create(ctx, t, port)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	s := &podConn{
		address:  podAddr(net.JoinHostPort(t.address, strconv.Itoa(int(port)))),
		complain: make(chan struct{}),
	}
	f.running.Go(func() {
		text, _ := io.ReadAll(io.LimitReader(complaints, maxComplaint))
		s.complaint = meaning(string(text))
		close(s.complain)
	})
	near, far := net.Pipe()
	s.Conn = near
	f.running.Go(func() { f.pump(t, s, far, data, complaints) })

	grace := time.NewTimer(min(max(t.took, leastGrace), mostGrace))
	defer grace.Stop()
	select {
	case <-s.complain:
		if s.complaint != nil {
			_ = s.Close()
			return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: s.address, Err: s.complaint}
		}
	case <-grace.C:
	case <-ctx.Done():
		_ = s.Close()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: s.address, Err: ctx.Err()}
	}
	return s, nil
}

// create makes the two streams of a connection, or ends it. The library waits for
// the kubelet half a minute, whatever ctx says.
func (f *forwarder) create(ctx context.Context, t *tunnel, port uint16) (complaints, data httpstream.Stream, err error) {
	type pair struct {
		complaints, data httpstream.Stream
		err              error
	}
	made := make(chan pair, 1)
	f.running.Go(func() {
		complaints, data, err := t.create(port)
		made <- pair{complaints, data, err}
	})
	var p pair
	select {
	case p = <-made:
	case <-ctx.Done():
		p.err = ctx.Err()
	}
	if p.err != nil {
		f.release(t)
		return nil, nil, p.err
	}
	return p.complaints, p.data, nil
}

// create makes the pair of streams of one forwarded connection
// (k8s.io/client-go tools/portforward, handleConnection).
func (t *tunnel) create(port uint16) (complaints, data httpstream.Stream, err error) {
	header := http.Header{}
	header.Set(corev1.StreamType, corev1.StreamTypeError)
	header.Set(corev1.PortHeader, strconv.Itoa(int(port)))
	header.Set(corev1.PortForwardRequestIDHeader, "0")
	if complaints, err = t.conn.CreateStream(header); err != nil {
		return nil, nil, err
	}
	_ = complaints.Close() // nothing is written to it
	header.Set(corev1.StreamType, corev1.StreamTypeData)
	if data, err = t.conn.CreateStream(header); err != nil {
		// A kubelet that was refused may be done before the stream is made here.
		if said := said(complaints); said != nil {
			err = said
		}
		_ = complaints.Reset()
		return nil, nil, err
	}
	return complaints, data, nil
}

// said is what a kubelet complained about, within the time that it may take to
// arrive.
func said(complaints httpstream.Stream) error {
	timer := time.AfterFunc(mostGrace, func() { _ = complaints.Reset() })
	defer timer.Stop()
	text, _ := io.ReadAll(io.LimitReader(complaints, maxComplaint))
	return meaning(string(text))
}

// pump carries bytes until one side ends, then ends the other.
func (f *forwarder) pump(t *tunnel, s *podConn, far net.Conn, data, complaints httpstream.Stream) {
	var sending sync.WaitGroup
	sending.Go(func() {
		if _, err := io.Copy(data, far); err != nil {
			// The pod takes no more, and may have said why: that is still read.
			_, _ = io.Copy(io.Discard, far)
		}
		_ = data.Close()
		// Whoever closed reads no more. A reset also frees what is buffered.
		_ = data.Reset()
		_ = complaints.Reset()
	})
	_, _ = io.Copy(far, data)
	s.settle()
	_ = far.Close()
	_ = data.Reset()
	sending.Wait()
	f.release(t)
}

// podConn is a stream into a pod as a network connection.
type podConn struct {
	net.Conn

	address   podAddr
	complain  chan struct{} // closed when complaint may be read
	complaint error
}

// settle gives the word on why a stream ended the time to arrive.
func (c *podConn) settle() {
	timer := time.NewTimer(mostGrace)
	defer timer.Stop()
	select {
	case <-c.complain:
	case <-timer.C:
	}
}

func (c *podConn) failed() bool {
	select {
	case <-c.complain:
		return c.complaint != nil
	default:
		return false
	}
}

// Read implements net.Conn. The end of a stream that failed is why it failed.
func (c *podConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return n, c.explain("read", err)
}

// Write implements net.Conn.
func (c *podConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.explain("write", err)
}

func (c *podConn) explain(op string, err error) error {
	switch {
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe):
		return err
	case c.failed():
		return &net.OpError{Op: op, Net: "tcp", Addr: c.address, Err: c.complaint}
	case op == "write":
		return &net.OpError{Op: op, Net: "tcp", Addr: c.address, Err: syscall.EPIPE}
	case errors.Is(err, io.ErrClosedPipe):
		return &net.OpError{Op: op, Net: "tcp", Addr: c.address, Err: net.ErrClosed}
	}
	return err
}

// Relayed implements cluster.Relayed: a kubelet copies what a socket still holds,
// and a reset empties it.
func (c *podConn) Relayed() bool { return true }

var _ cluster.Relayed = (*podConn)(nil)

// RemoteAddr is the pod's own address.
func (c *podConn) RemoteAddr() net.Addr { return c.address }

// podAddr is host:port of a pod.
type podAddr string

// Network is "tcp".
func (podAddr) Network() string { return "tcp" }

func (a podAddr) String() string { return string(a) }

// meaning turns what a kubelet or container runtime says about a forward into
// the error that a socket would have given.
func meaning(complaint string) error {
	lower := strings.ToLower(complaint)
	switch {
	case complaint == "":
		return nil
	case strings.Contains(lower, "connection refused"):
		return syscall.ECONNREFUSED
	case strings.Contains(lower, "reset by peer"):
		return syscall.ECONNRESET
	case strings.Contains(lower, "broken pipe"):
		return syscall.EPIPE
	}
	return errors.New(strings.ToValidUTF8(complaint, "?"))
}
