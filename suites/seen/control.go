// SPDX-License-Identifier: Apache-2.0

package seen

import (
	"context"
	"fmt"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster"
)

// controlTime bounds a control dial.
const controlTime = 2 * time.Second

// Control dials the istiod of a workload's own cluster from the workload. It
// returns the error, empty where the dial worked.
func Control(ctx context.Context, c cluster.Cluster, from cluster.Workload) string {
	ctx, cancel := context.WithTimeout(ctx, controlTime)
	defer cancel()
	conn, err := c.Dial(ctx, from, fmt.Sprintf("%s:%d", cluster.ControlPlaneOf(c).Host(), cluster.PortCA))
	if err != nil {
		return err.Error()
	}
	_ = conn.Close()
	return ""
}

// alive is the control where a peer fell silent: no judge may say anything
// about a peer if the network died in between, so then the whole observation
// is an error.
func alive(ctx context.Context, c cluster.Cluster, from cluster.Workload) error {
	if broken := Control(ctx, c, from); broken != "" {
		return fmt.Errorf("nothing can be reached from %s any more, its own istiod neither: %s", from, broken)
	}
	return nil
}

// cutOff says that the peer gave no answer that it alone could have given: an
// alert, a reset of the stream, a status.
func (o Outcome) cutOff() bool { return o == Unreachable || o == Closed || o == Unclear }

func (l Layer) cutOff() bool {
	return l.Reset == "" && (l.Outcome.cutOff() || l.Authority != "" && l.Status == 0)
}

// Short is the part of an observation's time in which a peer may answer: what
// is left of it is for the control dial.
func Short(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end.Add(-min(controlTime, time.Until(end)/4)))
}
