// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/wait"
)

// lingering bounds how long is looked for what an interrupted command made.
const lingering = time.Minute

// remove removes what was made so far.
func (b *builder) remove(ctx context.Context) error {
	var group errgroup.Group
	for _, c := range b.topology.Clusters {
		group.Go(func() error {
			return in("delete", c.Name, b.docker.removeCluster(ctx, clusterName(b.mesh, c.Name)))
		})
	}
	return group.Wait()
}

// abandon removes what a set-up made that failed or was interrupted. The daemon
// may still be making what a command asked for that is gone, so it looks until
// twice nothing was there.
func (b *builder) abandon(ctx context.Context) error {
	quiet, last := 0, error(nil)
	err := wait.PollUntilContextTimeout(ctx, aBit, lingering, true, func(ctx context.Context) (bool, error) {
		left := 0
		for _, c := range b.topology.Clusters {
			ids, err := b.docker.containers(ctx, clusterName(b.mesh, c.Name))
			if err != nil {
				return false, err
			}
			left += len(ids)
		}
		if left == 0 {
			quiet++
			return quiet > 1, nil
		}
		quiet = 0
		last = b.remove(ctx)
		return false, nil
	})
	if wait.Interrupted(err) {
		err = fmt.Errorf("containers are left: meshprobe clusters delete %s", b.mesh)
	}
	if err == nil {
		return nil
	}
	return errors.Join(err, last)
}
