// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/kind/pkg/exec"
)

// How much of a node that did not come up is told.
const (
	nodeLines = 4
	nodeLook  = 10 * time.Second
)

// tellNode adds to an error of kind's what the command that failed and the node
// said, before the node is gone.
func (b *builder) tellNode(ctx context.Context, member string, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	var said []string
	if run := exec.RunErrorForError(err); run != nil {
		said = append(said, prefixed("said: ", clean(string(run.Output), nodeLines))...)
	}
	look, cancel := context.WithTimeout(ctx, nodeLook)
	defer cancel()
	container := node(b.mesh, member)
	all := append(slices.Clone(said), err.Error())
	for _, from := range []struct {
		name string
		args []string
	}{
		{"node", []string{"logs", "--tail", "40", container}},
		{"kubelet", []string{"exec", container, "journalctl", "--unit", "kubelet", "--lines", "40", "--no-pager", "--output", "cat"}},
	} {
		out, lookErr := b.docker.command(look, nil, from.args...)
		if lookErr != nil {
			continue
		}
		all = append(all, out)
		said = append(said, prefixed(from.name+": ", clean(out, nodeLines))...)
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	if lines := clean(first, 1); len(lines) > 0 {
		first = lines[0]
	}
	failed := &Error{Err: errors.New(first), Told: said, Hint: hintFor(strings.Join(all, "\n"))}
	if failed.Hint == nil {
		failed.Hint = []string{"see what the machine lacks: https://kind.sigs.k8s.io/docs/user/known-issues"}
	}
	return failed
}

// Room that a mesh needs, roughly: of memory and of the disk of Docker.
const (
	memoryPerCluster = 700 << 20
	diskPerCluster   = 2 << 30
)

// refusesV1 is what the kubelet of kind's own node image says on cgroup v1.
const refusesV1 = "kubelet is configured to not run on a host using cgroup v1"

// preflight asks Docker whether clusters can be made at all.
func (b *builder) preflight(ctx context.Context) error {
	info, err := b.docker.info(ctx)
	if err != nil {
		return err
	}
	n := int64(len(b.topology.Clusters))
	if need := n * memoryPerCluster; info.MemTotal > 0 && info.MemTotal < need {
		return failure("give Docker more memory, or ask for fewer clusters",
			"no room: %s need about %d MiB, Docker has %d MiB", plural(int(n), "cluster"), need>>20, info.MemTotal>>20)
	}
	if free, ok := freeSpace(info.DockerRootDir); ok && free < n*diskPerCluster {
		return failure("make room on the disk of Docker: docker system df",
			"no room: %s need about %d GiB in %s, which has %d MiB left", plural(int(n), "cluster"), n*diskPerCluster>>30, info.DockerRootDir, free>>20)
	}
	if info.CgroupVersion == "1" && b.p.NodeImage == "" && len(b.p.Configs) == 0 {
		return &Error{Err: errors.New("the containers of this Docker have cgroup v1, which kind's own node image refuses"), Hint: hintFor(refusesV1)}
	}
	for _, image := range b.p.LoadImages {
		have, err := b.docker.hasImage(ctx, image)
		if err != nil {
			return err
		}
		if !have {
			return failure("docker pull "+image, "--load-image: Docker has no image %s", image)
		}
	}
	if image := b.p.NodeImage; image != "" {
		return b.nodeImage(ctx, image)
	}
	return nil
}

// nodeImage makes sure that the node image is there, or can be had.
func (b *builder) nodeImage(ctx context.Context, image string) error {
	have, err := b.docker.hasImage(ctx, image)
	if err != nil || have {
		return err
	}
	if _, err := b.docker.command(ctx, nil, "pull", "--quiet", image); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return failure("name a node image that is there: --kind-image IMAGE; see: docker images", "--kind-image: Docker neither has nor gets %s: %w", image, err)
	}
	return nil
}
