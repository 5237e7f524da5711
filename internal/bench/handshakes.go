// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/meshprobe/meshprobe/pkg/cluster"
	"github.com/meshprobe/meshprobe/pkg/probe"
	"github.com/meshprobe/meshprobe/pkg/probe/verifier"
	"github.com/meshprobe/meshprobe/suites/seen"
	"github.com/meshprobe/meshprobe/suites/verdict"
)

// inFlight is the concurrency of the handshake contest, that of a run.
const inFlight = 8

// handshakes compares observation and full verdict with a raw crypto/tls loop
// that verifies the chain, proves acceptance by close_notify, and closes.
func handshakes(context.Context) (*contest, error) {
	m, err := newMesh()
	if err != nil {
		return nil, err
	}
	addr, stop, err := serveTLS(m.serverTLS())
	if err != nil {
		return nil, err
	}
	env := &probe.Env{Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	roots := seen.FromX509(m.client.Roots)
	return &contest{
		name: "mutual handshakes with full verdict", unit: "/s", goal: 0.95, than: "raw crypto/tls", close: stop,
		ours: together(func(ctx context.Context) error {
			h := seen.Try(ctx, env, dial(addr), seen.Hello{Address: addr, Identity: m.client})
			f := verdict.Chain(verdict.Question{
				Chain: h.Chain, Roots: roots, At: time.Now(), Role: verifier.Server,
				TrustDomains: []string{"cluster.local"}, Identities: []string{m.server.ID}, By: cluster.Sidecar,
			})
			if h.Outcome != seen.Accepted || f.Status != probe.Pass {
				return fmt.Errorf("%s, %s", h.Said(), f.Status)
			}
			return nil
		}),
		other: together(func(ctx context.Context) error { return rawHandshake(ctx, addr, m) }),
	}, nil
}

func rawHandshake(ctx context.Context, addr string, m *mesh) error {
	conn, err := dial(addr)(ctx)
	if err != nil {
		return err
	}
	tc := tls.Client(conn, m.clientTLS())
	if err := tc.HandshakeContext(ctx); err != nil {
		return errors.Join(err, conn.Close())
	}
	if err := tc.CloseWrite(); err != nil {
		return errors.Join(err, conn.Close())
	}
	if _, err := tc.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return errors.Join(fmt.Errorf("not accepted: %w", err), conn.Close())
	}
	return conn.Close()
}

// together does it once in each of inFlight goroutines.
func together(do func(context.Context) error) func(context.Context) (float64, error) {
	return func(ctx context.Context) (float64, error) {
		group, ctx := errgroup.WithContext(ctx)
		for range inFlight {
			group.Go(func() error {
				for range 8 {
					if err := do(ctx); err != nil {
						return err
					}
				}
				return nil
			})
		}
		return 8 * inFlight, group.Wait()
	}
}

func dial(addr string) seen.Dial {
	return func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr)
	}
}

// serveTLS answers a client's close_notify with its own.
func serveTLS(cfg *tls.Config) (addr string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("listen: %w", err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				tc := tls.Server(conn, cfg)
				_, _ = io.Copy(io.Discard, tc)
				_ = tc.Close()
			})
		}
	})
	return l.Addr().String(), func() { _ = l.Close(); wg.Wait() }, nil
}
