// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

// docker is the command that kind itself runs.
type docker struct{}

// maxSaid bounds what is kept of what a command says.
const maxSaid = 1 << 20

// command runs docker and returns what it wrote. The error holds its last words.
func (docker) command(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	return command(ctx, stdin, "docker", args...)
}

func command(ctx context.Context, stdin io.Reader, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // docker, or the istioctl that the user names
	stdout, stderr := &bounded{}, &bounded{}
	dieWithParent(cmd)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	err := cmd.Run()
	switch {
	case err == nil:
		return stdout.String(), nil
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	}
	said := strings.Join(clean(stderr.String()+"\n"+stdout.String(), 3), "; ")
	if said == "" {
		said = err.Error()
	}
	what := name
	if len(args) > 0 {
		what += " " + args[0]
	}
	return "", &commandError{what: what, said: said, err: err}
}

// commandError is a command that failed, with its last words.
type commandError struct {
	what, said string
	err        error
}

func (e *commandError) Error() string { return e.what + ": " + e.said }
func (e *commandError) Unwrap() error { return e.err }

// bounded keeps the first bytes that are written to it.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if room := maxSaid - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// dockerInfo is the part of docker info that matters here.
type dockerInfo struct {
	ServerVersion string   `json:"ServerVersion"`
	ServerErrors  []string `json:"ServerErrors"`
	MemTotal      int64    `json:"MemTotal"`
	DockerRootDir string   `json:"DockerRootDir"`
	CgroupVersion string   `json:"CgroupVersion"`
}

// info asks the daemon who it is; a daemon that does not answer is an *Error
// with what helps.
func (d docker) info(ctx context.Context) (dockerInfo, error) {
	var info dockerInfo
	out, err := d.command(ctx, nil, "info", "--format", "{{json .}}")
	if errors.Is(err, exec.ErrNotFound) {
		return info, failure("install Docker: https://docs.docker.com/engine/install", "the docker command is not there")
	}
	if err == nil {
		err = json.Unmarshal([]byte(out), &info)
	}
	if err == nil && (info.ServerVersion == "" || len(info.ServerErrors) > 0) {
		err = errors.New(strings.Join(append([]string{"the daemon does not answer"}, info.ServerErrors...), ": "))
	}
	if err != nil && ctx.Err() == nil {
		return info, dockerFailure(err)
	}
	return info, err
}

// dockerFailure tells a daemon that is not there from one that refuses.
func dockerFailure(err error) error {
	text := err.Error()
	switch lower := strings.ToLower(text); {
	case strings.Contains(lower, "permission denied"):
		return failure("let this user speak to Docker: sudo usermod -aG docker $USER, then log in again", "Docker refuses this user: %s", text)
	case strings.Contains(lower, "connect to the docker"), strings.Contains(lower, "daemon"):
		return failure("start Docker: sudo systemctl start docker", "Docker does not answer: %s", text)
	}
	return failure("see: docker info", "Docker cannot be asked: %s", text)
}

// hasImage reports whether the daemon holds an image.
func (d docker) hasImage(ctx context.Context, image string) (bool, error) {
	_, err := d.command(ctx, nil, "image", "inspect", "--format", "{{.Id}}", image)
	if ce, ok := errors.AsType[*commandError](err); ok && strings.Contains(strings.ToLower(ce.said), "no such") {
		return false, nil
	}
	return err == nil, err
}

// address is that of a container on the network that all kind nodes share.
func (d docker) address(ctx context.Context, container string) (string, error) {
	out, err := d.command(ctx, nil, "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}", container)
	if err != nil {
		return "", err
	}
	if fields := strings.Fields(out); len(fields) > 0 {
		return fields[0], nil
	}
	return "", fmt.Errorf("the container %s has no address", container)
}

// pipe runs a command in a container, with input.
func (d docker) pipe(ctx context.Context, container string, input []byte, args ...string) (string, error) {
	return d.command(ctx, bytes.NewReader(input), append([]string{"exec", "-i", container}, args...)...)
}

// clusterLabel is what kind puts on the containers of a cluster.
const clusterLabel = "io.x-k8s.kind.cluster"

// containers are the nodes of a cluster, whatever their state.
func (d docker) containers(ctx context.Context, name string) ([]string, error) {
	out, err := d.command(ctx, nil, "ps", "--all", "--quiet", "--filter", "label="+clusterLabel+"="+name)
	return strings.Fields(out), err
}

// removeCluster removes the nodes of a cluster with their volumes, if there are
// any.
func (d docker) removeCluster(ctx context.Context, name string) error {
	ids, err := d.containers(ctx, name)
	if err != nil || len(ids) == 0 {
		return err
	}
	_, err = d.command(ctx, nil, append([]string{"rm", "--force", "--volumes"}, ids...)...)
	if ce, ok := errors.AsType[*commandError](err); ok && goneAlready(strings.ToLower(ce.said)) {
		return nil // somebody else was faster
	}
	return err
}

func goneAlready(said string) bool {
	return strings.Contains(said, "no such container") || strings.Contains(said, "is already in progress")
}
