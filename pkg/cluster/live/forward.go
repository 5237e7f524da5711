// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"net"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
)

// forwarder opens streams into pods.
type forwarder struct{}

func newForwarder(*rest.Config, rest.Interface) *forwarder { return &forwarder{} }

func (f *forwarder) dial(context.Context, *corev1.Pod, uint16) (net.Conn, error) {
	return nil, net.ErrClosed
}

func (f *forwarder) Close() {}
