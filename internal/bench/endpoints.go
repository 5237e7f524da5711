// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// What the endpoints of a fleet are like.
const (
	fleet        = 10_000
	few          = 1_000 // for comparison of memory
	oneInHoles   = 20    // 5 %
	holeTimeout  = 5 * time.Second
	opensslLoops = 200
)

// endpoints times `meshprobe probe tls --input` over a fleet, with and without
// endpoints that never answer, beside a raw crypto/tls loop and a loop of
// openssl s_client.
func endpoints(ctx context.Context) (err error) {
	m, err := newMesh()
	if err != nil {
		return err
	}
	addr, stop, err := serveTLS(m.serverTLS())
	if err != nil {
		return err
	}
	defer stop()
	holes, stopHoles, err := blackHoles(ctx)
	if err != nil {
		return err
	}
	defer stopHoles()
	dir, err := os.MkdirTemp("", "meshprobe-bench-")
	if err != nil {
		return fmt.Errorf("temporary directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	f := &fleetRun{dir: dir, bin: filepath.Join(dir, "meshprobe")}
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", f.bin, "./cmd/meshprobe").CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	if err := m.write(dir); err != nil {
		return err
	}
	if err := f.contest(ctx, addr, holes); err != nil {
		return err
	}
	return otherLoops(ctx, m, addr, dir)
}

// fleetRun runs the command over many endpoints.
type fleetRun struct{ dir, bin string }

// contest compares a fleet with black holes in it to the same without.
func (f *fleetRun) contest(ctx context.Context, addr string, holes []string) error {
	_, small, err := f.run(ctx, few, addr, nil)
	if err != nil {
		return err
	}
	clean, _, err := f.run(ctx, fleet, addr, nil)
	if err != nil {
		return err
	}
	holed, large, err := f.run(ctx, fleet, addr, holes)
	if err != nil {
		return err
	}
	goal := clean*12/10 + holeTimeout
	fmt.Printf("%-44s %10.1f s, %.1f s without black holes  (goal %.1f: 1.2 times and a timeout of %v)\n",
		fmt.Sprintf("%d endpoints, 1 in %d a black hole", fleet, oneInHoles), holed.Seconds(), clean.Seconds(), goal.Seconds(), holeTimeout)
	fmt.Printf("%-44s %10.0f /s, verdicts included\n", "endpoints without black holes", fleet/clean.Seconds())
	fmt.Printf("%-44s %10d MiB, %d MiB for %d without black holes\n", "peak memory of that run", large>>10, small>>10, few)
	return nil
}

// run probes n endpoints; where there are holes, one in oneInHoles is one.
func (f *fleetRun) run(ctx context.Context, n int, addr string, holes []string) (took time.Duration, rss int64, err error) {
	var list strings.Builder
	for i := range n {
		if len(holes) > 0 && i%oneInHoles == 0 {
			fmt.Fprintln(&list, holes[i/oneInHoles%len(holes)])
			continue
		}
		fmt.Fprintln(&list, addr)
	}
	input := filepath.Join(f.dir, "endpoints")
	if err := os.WriteFile(input, []byte(list.String()), 0o600); err != nil {
		return 0, 0, fmt.Errorf("input: %w", err)
	}
	cmd := exec.CommandContext(ctx, f.bin, "probe", "tls", "--input", input, "-o", "jsonl", "--timeout", holeTimeout.String(),
		"--cert", filepath.Join(f.dir, "cert.pem"), "--key", filepath.Join(f.dir, "key.pem"), "--trust-bundle", filepath.Join(f.dir, "root.pem"))
	counter := &lineCounter{}
	cmd.Stdout = counter
	begin := time.Now()
	err = cmd.Run()
	took = time.Since(begin)
	// Black holes are failures, which the exit status says.
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && (!exited || len(holes) == 0) {
		return 0, 0, fmt.Errorf("probe --input: %w", err)
	}
	if counter.endpoints != n {
		return 0, 0, fmt.Errorf("probe --input reported %d of %d endpoints", counter.endpoints, n)
	}
	if ru, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		rss = ru.Maxrss // KiB on Linux
	}
	return took, rss, nil
}

// lineCounter counts the endpoints in a stream of JSON lines.
type lineCounter struct {
	endpoints int
	rest      []byte
}

func (c *lineCounter) Write(p []byte) (int, error) {
	c.rest = append(c.rest, p...)
	for {
		i := bytes.IndexByte(c.rest, '\n')
		if i < 0 {
			return len(p), nil
		}
		if bytes.HasPrefix(c.rest, []byte(`{"event":"endpoint"`)) {
			c.endpoints++
		}
		c.rest = c.rest[i+1:]
	}
}

// otherLoops time what people do instead.
func otherLoops(ctx context.Context, m *mesh, addr, dir string) error {
	begin := time.Now()
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(inFlight)
	for range fleet {
		group.Go(func() error { return rawHandshake(inner, addr, m) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	fmt.Printf("%-44s %10.0f /s, no verdict but that of crypto/x509\n", "the same by a raw crypto/tls loop", fleet/time.Since(begin).Seconds())
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		fmt.Printf("%-44s %10s\n", "the same by openssl s_client", "not found")
		return nil //nolint:nilerr // the rest has been measured
	}
	begin = time.Now()
	for range opensslLoops {
		cmd := exec.CommandContext(ctx, openssl, "s_client", "-connect", addr, "-showcerts", "-verify_quiet",
			"-cert", filepath.Join(dir, "cert.pem"), "-cert_chain", filepath.Join(dir, "cert.pem"), "-key", filepath.Join(dir, "key.pem"), "-CAfile", filepath.Join(dir, "root.pem"))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("openssl s_client: %w\n%s", err, out)
		}
	}
	fmt.Printf("%-44s %10.0f /s, one after the other\n", "the same by a loop of openssl s_client", opensslLoops/time.Since(begin).Seconds())
	return nil
}

// write stores what the commands need as PEM.
func (m *mesh) write(dir string) error {
	id := m.client.TLS()
	key, err := x509.MarshalPKCS8PrivateKey(id.PrivateKey)
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	var chain []byte
	for _, der := range id.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	for name, text := range map[string][]byte{
		"cert.pem": chain,
		"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		"root.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.client.Roots[0].Raw}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// blackHoles are two endpoints that never answer: one that takes connections
// and stays silent, and one whose backlog is full, so that nothing comes back
// to a SYN.
func blackHoles(ctx context.Context) (addrs []string, stop func(), err error) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, fmt.Errorf("listen: %w", err)
	}
	// Nobody accepts: the system does, up to its backlog of thousands.
	full, closeFull, err := fullBacklog(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, silent.Close())
	}
	return []string{silent.Addr().String(), full}, func() { _ = silent.Close(); closeFull() }, nil
}

// fullBacklog listens with a backlog of one and connects until nothing more is
// taken.
func fullBacklog(ctx context.Context) (addr string, stop func(), err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return "", nil, fmt.Errorf("socket: %w", err)
	}
	var conns []net.Conn
	stop = func() {
		for _, c := range conns {
			_ = c.Close()
		}
		_ = syscall.Close(fd)
	}
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		stop()
		return "", nil, fmt.Errorf("listen: %w", err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		stop()
		return "", nil, fmt.Errorf("listen: %w", err)
	}
	at, ok := name.(*syscall.SockaddrInet4)
	if !ok {
		stop()
		return "", nil, errors.New("listen: no IPv4 address")
	}
	addr = fmt.Sprintf("127.0.0.1:%d", at.Port)
	for range 16 {
		d := net.Dialer{Timeout: 500 * time.Millisecond}
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return addr, stop, nil //nolint:nilerr // that it is full is what is wanted
		}
		conns = append(conns, conn)
	}
	stop()
	return "", nil, errors.New("a backlog of none takes 16 connections")
}
