// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// conns are the open connections of one listener, so that the end of its
// context ends every blocked read and write.
type conns struct {
	mu     sync.Mutex
	closed bool
	open   map[net.Conn]struct{}
}

// add takes responsibility for c until drop; false means that the listener is
// over and c was closed.
func (s *conns) add(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = c.Close()
		return false
	}
	s.open[c] = struct{}{}
	return true
}

func (s *conns) drop(c net.Conn) {
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
	_ = c.Close()
}

func (s *conns) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.open {
		_ = c.Close()
	}
}

func (s *conns) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// serve hands each connection of ln to handle, in a goroutine of its own, and
// returns when ctx is done (nil) or ln fails, after all of them have ended.
func serve(ctx context.Context, ln net.Listener, limits Limits, handle func(context.Context, net.Conn, *conns)) error {
	ctx, cancel := context.WithCancel(ctx)
	set := &conns{open: make(map[net.Conn]struct{})}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		<-ctx.Done()
		_ = ln.Close()
		set.closeAll()
	})
	for {
		c, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = c.Close()
			}
			return nil
		case err != nil && passing(err):
			pause(ctx)
			continue
		case err != nil:
			return fmt.Errorf("dataplane: accept on %s: %w", ln.Addr(), err)
		}
		if set.len() >= limits.connections() {
			reset(c)
			continue
		}
		if !set.add(c) {
			return nil
		}
		wg.Go(func() {
			defer set.drop(c)
			handle(ctx, c, set)
		})
	}
}

// passing says that accept may work again: descriptors run out and come back.
func passing(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Temporary() //nolint:staticcheck // net/http's accept loop relies on it for EMFILE too; there is no other way to tell
}

func pause(ctx context.Context) {
	t := time.NewTimer(10 * time.Millisecond)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// until sets the deadline for everything on c, in the kernel's time: what the
// injected clock says concerns certificates only.
func until(c net.Conn, d time.Duration) { _ = c.SetDeadline(time.Now().Add(d)) }

func forever(c net.Conn) { _ = c.SetDeadline(time.Time{}) }

// reset closes c with a TCP RST, as Envoy does where no filter chain matches.
func reset(c net.Conn) {
	if t, ok := c.(interface{ SetLinger(sec int) error }); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// drain lets the peer read the last words before c is closed: closing a socket
// with unread bytes sends an RST, which can overtake an alert.
func drain(c net.Conn) {
	until(c, lingering)
	closeWrite(c)
	_, _ = io.CopyN(io.Discard, c, 256<<10)
}

func closeWrite(c net.Conn) {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite()
	}
}

// bridge copies both ways until both have ended; an end of one direction is
// passed on as a half-close, an error ends both.
func bridge(a, b net.Conn) {
	var wg sync.WaitGroup
	one := func(dst, src net.Conn) {
		if _, err := io.Copy(dst, src); err != nil {
			_ = dst.Close()
			_ = src.Close()
			return
		}
		closeWrite(dst)
	}
	wg.Go(func() { one(a, b) })
	one(b, a)
	wg.Wait()
}
