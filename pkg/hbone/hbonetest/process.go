// SPDX-License-Identifier: Apache-2.0

package hbonetest

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Process is a server that is a real program. It is killed when its test ends,
// and what it printed is logged where the test failed.
type Process struct {
	name   string
	exited chan struct{}

	mu     sync.Mutex
	output bytes.Buffer
}

// Run starts a program whose standard input stays open and empty.
func Run(t testing.TB, name string, args ...string) *Process {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), name, args...)
	p := &Process{name: filepath.Base(name), exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	cmd.WaitDelay = time.Second
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatalf("hbonetest: %v", err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("hbonetest: %v", err)
	}
	go func() {
		defer close(p.exited)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.exited
		if t.Failed() {
			t.Logf("%s printed:\n%s", p.name, p.Output())
		}
	})
	return p
}

// Write takes what the program prints.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.Write(b)
}

// Output is what the program has printed so far.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// Exited is closed when the program has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Until waits until done says so, however long that takes within the time of
// the test, and fails the test when the program ends before.
func (p *Process) Until(t testing.TB, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-p.exited:
			t.Fatalf("%s ended: %s", p.name, p.Output())
		case <-t.Context().Done():
			t.Fatalf("%s: %v", p.name, t.Context().Err())
		}
	}
}

// Prints waits until the program has printed what re matches, and returns its
// first group.
func (p *Process) Prints(t testing.TB, re string) string {
	t.Helper()
	want := regexp.MustCompile(re)
	var found string
	p.Until(t, func() bool {
		m := want.FindStringSubmatch(p.Output())
		if len(m) > 1 {
			found = m[1]
		}
		return m != nil
	})
	return found
}

// Listens waits until addr takes connections.
func (p *Process) Listens(t testing.TB, addr string) {
	t.Helper()
	p.Until(t, func() bool {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// FreePort returns a loopback port that was free a moment ago, for programs
// that can neither be handed a listener nor choose a port. It lies below the
// range from which kernels take the ports of outgoing connections, so that none
// of those comes between.
func FreePort(t testing.TB) int {
	t.Helper()
	const low, high = 20000, 32767
	for range 100 {
		port := low + rand.IntN(high-low)
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", Loopback(port))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("hbonetest: no free port")
	return 0
}

// Loopback is the address of a port.
func Loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// EnvoyPath finds the Envoy that the lab built, else one in PATH, and skips the
// test where there is none.
func EnvoyPath(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("MESHPROBE_LAB_CACHE")
	if dir == "" {
		if cache, err := os.UserCacheDir(); err == nil {
			dir = filepath.Join(cache, "meshprobe-lab")
		}
	}
	path := filepath.Join(dir, "bin", "envoy")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	path, err := exec.LookPath("envoy")
	if err != nil {
		t.Skip("no Envoy: ", err)
	}
	return path
}
