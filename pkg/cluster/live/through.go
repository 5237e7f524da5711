// SPDX-License-Identifier: Apache-2.0

package live

import (
	"context"
	"net"

	corev1 "k8s.io/api/core/v1"
)

// Forward opens a stream to a port of a running pod, as seen from the pod's
// loopback: it reaches what listens there whatever the pod's proxy captures.
// The caller owns the connection; Close of the cluster ends it.
func (c *Cluster) Forward(ctx context.Context, pod *corev1.Pod, port uint16) (net.Conn, error) {
	return c.forwards.dial(ctx, pod, port)
}
