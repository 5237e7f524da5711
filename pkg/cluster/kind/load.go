// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/kind/pkg/cluster/nodes"
	"sigs.k8s.io/kind/pkg/cluster/nodeutils"
)

// archives are the images that nodes are given, saved once for all of them.
type archives struct {
	b    *builder
	mu   sync.Mutex
	file string // of docker save, "" until it is there
}

// saved saves the images of --load-image, once.
func (a *archives) saved(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.file != "" || len(a.b.p.LoadImages) == 0 {
		return a.file, nil
	}
	file := filepath.Join(a.b.scratch.dir, "images.tar")
	if _, err := a.b.docker.command(ctx, nil, append([]string{"save", "--output", file}, a.b.p.LoadImages...)...); err != nil {
		return "", fmt.Errorf("save images: %w", err)
	}
	a.file = file
	return file, nil
}

// load gives a cluster its images as soon as its nodes can take them.
func (a *archives) load(ctx context.Context, member string) error {
	file, err := a.saved(ctx)
	if err != nil || file == "" && a.b.app == nil {
		return err
	}
	list, err := a.running(ctx, member)
	if err != nil {
		return err
	}
	for _, n := range list {
		if file != "" {
			archive, err := os.Open(file)
			if err != nil {
				return err
			}
			err = a.give(ctx, member, n, archive)
			if err := errors.Join(err, archive.Close()); err != nil {
				return err
			}
		}
		if app := a.b.app; app != nil {
			if err := a.give(ctx, member, n, bytes.NewReader(app.archive)); err != nil {
				return err
			}
		}
	}
	return nil
}

// running waits for the containerd of every node.
func (a *archives) running(ctx context.Context, member string) ([]nodes.Node, error) {
	name := clusterName(a.b.mesh, member)
	var list []nodes.Node
	err := wait.PollUntilContextCancel(ctx, aBit, false, func(ctx context.Context) (bool, error) {
		var err error
		if list, err = kinds().ListInternalNodes(name); err != nil || len(list) < a.b.nodes {
			return false, nil //nolint:nilerr // Create tells what is wrong
		}
		for _, n := range list {
			if _, err := a.b.docker.command(ctx, nil, "exec", n.String(), "ctr", "version"); err != nil {
				return false, nil //nolint:nilerr // not there yet
			}
		}
		return true, nil
	})
	return list, err
}

func (a *archives) give(ctx context.Context, member string, n nodes.Node, archive io.Reader) error {
	return a.b.under(ctx, member, func() error {
		if err := nodeutils.LoadImageArchive(n, archive); err != nil {
			return a.b.tellNode(ctx, member, err)
		}
		return nil
	})
}
