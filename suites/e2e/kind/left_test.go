// SPDX-License-Identifier: Apache-2.0

//go:build unix

package kind_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meshprobe/meshprobe/pkg/cluster/kind"
	"github.com/meshprobe/meshprobe/suites/e2e/kindtest"
)

// Times of a machine that does other things besides.
const (
	earliest  = 500 * time.Millisecond // of an interrupt
	latest    = 8 * time.Second
	endsSoon  = 2 * time.Minute  // after an interrupt
	wholeRun  = 20 * time.Minute // made, federated, probed, removed
	afterKill = 2 * time.Minute  // until what Docker was told is done
)

// TestNothingIsLeft interrupts and kills set-ups at random early points, and lets
// one run come to its end. There is nothing then that was not there before.
func TestNothingIsLeft(t *testing.T) {
	p, _ := kindtest.Provider(t)
	if p.Reuse != "" {
		t.Skip("it makes meshes of its own: leave out -reuse")
	}
	cli := &command{program: p.AppBinary, flags: setUp(p), kubeconfig: filepath.Join(t.TempDir(), "config"), tmp: t.TempDir()}
	before := snapshot(t)
	t.Run("interrupted", func(t *testing.T) {
		for _, group := range []bool{false, true} { // as kill does, as ^C in a terminal does
			cmd, after := cli.start(t, "create"), early()
			time.Sleep(after) // a random point, not a wait for something
			t.Logf("SIGINT after %s, to the group: %v", after, group)
			pid := cmd.Process.Pid
			if group {
				pid = -pid
			}
			if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			if status := wait(t, cmd, endsSoon); status != 3 {
				t.Errorf("exit status %d, want 3", status)
			}
			nothingLeft(t, before)
			cli.clean(t)
		}
	})
	t.Run("killed", func(t *testing.T) {
		cmd := cli.start(t, "create")
		until(t, endsSoon, func() bool { return len(containers(t, meshName)) > 0 })
		after := early()
		time.Sleep(after) // a random point, not a wait for something
		t.Logf("SIGKILL %s after the first container", after)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		// The docker commands that it ran end when the daemon has done its part.
		until(t, afterKill, func() bool {
			return !slices.ContainsFunc(processes(meshName), func(p string) bool { return strings.Contains(p, "docker run ") })
		})
		if found := cli.list(t); len(found) != 1 || found[0].Ready {
			t.Errorf("clusters list shows %+v, want one mesh that is not whole", found)
		}
		cli.deleteAll(t)
		nothingLeft(t, before)
		cli.clean(t)
	})
	t.Run("run to its end", func(t *testing.T) {
		cmd := cli.start(t, "run")
		// On a busy machine it may not get to see everything: TestAgree judges.
		if status := wait(t, cmd, wholeRun); !strings.Contains(cli.said.String(), "checks pass") || status != 0 && status != 3 {
			t.Errorf("exit status %d, want a run", status)
		}
		nothingLeft(t, before)
		cli.clean(t)
	})
}

func early() time.Duration { return earliest + rand.N(latest-earliest) }

// setUp is the flags that say what a provider says.
func setUp(p *kind.Provider) []string {
	var flags []string
	add := func(flag string, values ...string) {
		for _, v := range values {
			if v != "" {
				flags = append(flags, flag, v)
			}
		}
	}
	add("--kind-image", p.NodeImage)
	add("--kind-config", p.Configs...)
	add("--load-image", p.LoadImages...)
	add("--istioctl", p.Istioctl)
	add("--istio-values", p.Values...)
	add("--istio-manifest", p.Manifests...)
	return flags
}

// command is the program with the files that it may leave.
type command struct {
	program, kubeconfig, tmp string
	flags                    []string
	said                     *strings.Builder // by the last one that was started
}

func (c *command) environment() []string {
	return append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "TMPDIR="+c.tmp)
}

// start begins to make a mesh: create, or run.
func (c *command) start(t *testing.T, verb string) *exec.Cmd {
	t.Helper()
	args := []string{"clusters", "create", "--name", meshName}
	if verb == "run" {
		args = []string{"run", "--provider", "kind", "--name", meshName, "--timeout", "1m"}
	}
	cmd := exec.CommandContext(t.Context(), c.program, append(args, c.flags...)...)
	out := &strings.Builder{}
	c.said = out
	cmd.Env, cmd.Stdout, cmd.Stderr = c.environment(), out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil { // the test failed before
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		t.Logf("%s: %s\n%s", verb, cmd.ProcessState, out)
		for _, f := range c.list(t) {
			if f.Mesh == meshName {
				_ = c.run(context.WithoutCancel(t.Context()), nil, "delete", meshName)
			}
		}
	})
	return cmd
}

func (c *command) run(ctx context.Context, out *strings.Builder, args ...string) error {
	cmd := exec.CommandContext(ctx, c.program, append([]string{"clusters"}, args...)...)
	cmd.Env = c.environment()
	if out != nil {
		cmd.Stdout = out
	}
	return cmd.Run()
}

// list is what clusters list says of meshes.
func (c *command) list(t *testing.T) []kind.Found {
	t.Helper()
	out := &strings.Builder{}
	var found []kind.Found
	err := c.run(context.WithoutCancel(t.Context()), out, "list", "-o", "json")
	if err := errors.Join(err, json.Unmarshal([]byte(out.String()), &found)); err != nil {
		t.Errorf("clusters list: %v", err)
	}
	return slices.DeleteFunc(found, func(f kind.Found) bool { return f.Mesh != meshName })
}

// deleteAll deletes everything, but by name where somebody else has meshes here.
func (c *command) deleteAll(t *testing.T) {
	t.Helper()
	what := "--all"
	if all, err := kind.List(t.Context()); err != nil || len(all) != 1 {
		t.Logf("others have meshes here: delete %s in place of --all", meshName)
		what = meshName
	}
	if err := c.run(t.Context(), nil, "delete", what); err != nil {
		t.Errorf("clusters delete %s: %v", what, err)
	}
}

// clean makes sure that no file is left: no context, no credential.
func (c *command) clean(t *testing.T) {
	t.Helper()
	if data, err := os.ReadFile(c.kubeconfig); err == nil && strings.Contains(string(data), meshName) {
		t.Errorf("the kubeconfig names %s still", meshName)
	}
	left, err := filepath.Glob(filepath.Join(c.tmp, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left of temporary files: %q, %v", left, err)
	}
}

func wait(t *testing.T, cmd *exec.Cmd, atMost time.Duration) int {
	t.Helper()
	timer := time.AfterFunc(atMost, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

func until(t *testing.T, atMost time.Duration, done func() bool) {
	t.Helper()
	deadline := time.After(atMost)
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for !done() {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("it takes longer than %s", atMost)
		}
	}
}

// snapshot is what Docker has that no node of somebody's cluster uses, one per
// line: volumes, networks, images.
func snapshot(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for what, args := range map[string][]string{
		"volume":  {"volume", "ls", "--filter", "dangling=true", "--format", "{{.Name}}"},
		"network": {"network", "ls", "--format", "{{.Name}}"},
		"image":   {"image", "ls", "--format", "{{.Repository}}:{{.Tag}}"},
	} {
		for _, name := range docker(t, args...) {
			out[what+" "+name] = true
		}
	}
	return out
}

// nothingLeft fails where something of a mesh is left: containers, processes
// and, where it is known what was there before, anything else in Docker but the
// network that all clusters of kind share, which kind makes once.
func nothingLeft(t *testing.T, before map[string]bool) {
	t.Helper()
	if left := containers(t, meshName); len(left) > 0 {
		t.Errorf("left of containers: %q", left)
	}
	until(t, endsSoon, func() bool { return len(processes(meshName)) == 0 })
	if before == nil {
		return
	}
	var left []string
	for name := range snapshot(t) {
		if !before[name] && name != "network kind" {
			left = append(left, name)
		}
	}
	if len(left) > 0 {
		t.Errorf("left in Docker: %q", left)
	}
}

func containers(t *testing.T, mesh string) []string {
	t.Helper()
	return slices.DeleteFunc(docker(t, "ps", "--all", "--format", "{{.Names}}"), func(name string) bool {
		return !strings.HasPrefix(name, kind.Prefix+mesh+"-")
	})
}

func docker(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "docker", args...).Output()
	if err != nil {
		t.Fatalf("docker %s: %v", args[0], err)
	}
	return strings.Fields(string(out))
}

// processes are the command lines that name a cluster of a mesh, those inside
// its nodes among them.
func processes(mesh string) []string {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	var out []string
	for _, file := range files {
		data, err := os.ReadFile(file)
		line := strings.ReplaceAll(string(data), "\x00", " ")
		if err == nil && strings.Contains(line, kind.Prefix+mesh+"-") {
			out = append(out, line)
		}
	}
	return out
}
