// SPDX-License-Identifier: Apache-2.0

package agentpod

import (
	"context"
	"errors"
	"fmt"
	"net"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshprobe/meshprobe/pkg/agent"
)

// Forward opens a stream to a port of a pod, as seen from its loopback. The
// caller owns the connection.
type Forward func(ctx context.Context, pod *corev1.Pod, port uint16) (net.Conn, error)

// LostError says that an agent could not be spoken to, or did not even try:
// nothing is known of the target.
type LostError struct{ Err error }

// Error says what was met.
func (e *LostError) Error() string { return "its agent: " + e.Err.Error() }

// Unwrap is what was met.
func (e *LostError) Unwrap() error { return e.Err }

// Dial opens a stream to host:port as a pod of the cluster does, through the
// agent in pod. The errors are *[agent.DialError], as met inside the cluster,
// *[LostError], and that of ctx. The connection says that it is relayed, see
// cluster.Relayed.
func Dial(ctx context.Context, forward Forward, pod *corev1.Pod, token agent.Token, addr string) (net.Conn, error) {
	stream, err := forward(ctx, pod, Port)
	if err != nil {
		return nil, lost(ctx, err)
	}
	c, err := token.Dial(ctx, stream, addr)
	if refused, ok := errors.AsType[*agent.DialError](err); ok && refused.Tried() {
		return nil, refused
	}
	if err != nil {
		return nil, lost(ctx, err)
	}
	return through{c}, nil
}

func lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
	}
	return &LostError{Err: err}
}

// through is a stream that went through a port-forward, which may lose what a
// peer said right before it reset.
type through struct{ net.Conn }

// Relayed is true.
func (through) Relayed() bool { return true }

// CloseWrite ends the direction that is written.
func (t through) CloseWrite() error {
	if half, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return fmt.Errorf("agent: half-close: %w", errors.ErrUnsupported)
}
