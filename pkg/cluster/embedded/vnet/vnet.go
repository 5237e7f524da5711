// SPDX-License-Identifier: Apache-2.0

// Package vnet is a virtual network: pods and gateways have addresses of
// their own, which exist only in its tables, and each address and port that
// somebody listens on is a real listener on loopback with a port of the
// kernel's choosing. Nothing ever dials a virtual address itself.
//
// It behaves as networks do: a port nobody listens on is refused, an address
// that the network has no route to swallows the SYN until the caller's
// deadline.
package vnet

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// DefaultConnectTimeout is how long a dial into a black hole lasts when the
// caller's context has no earlier deadline (Envoy's and ztunnel's 10 s).
const DefaultConnectTimeout = 10 * time.Second

// Forward says where a port of a published address leads: an address of a
// network, or nowhere, which the caller sees as refused.
type Forward func(port uint16) (network string, to netip.AddrPort, ok bool)

// Net is a set of networks that cannot reach each other's addresses, and the
// published addresses that all of them reach. The zero value is empty and
// ready; it is safe for concurrent use.
type Net struct {
	ConnectTimeout time.Duration // of a dial into a black hole; 0 means DefaultConnectTimeout

	mu        sync.RWMutex
	segments  map[string]*segment
	published map[netip.Addr]Forward
}

// segment is one network: the addresses that exist in it and who listens.
type segment struct {
	hosts     map[netip.Addr]int
	listeners map[netip.AddrPort]string // the real address on loopback
}

// Attach gives a network an address, as a pod that started does: its ports
// are refused from now on instead of swallowed. detach takes it back.
func (n *Net) Attach(network string, addr netip.Addr) (detach func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.segment(network)
	s.hosts[addr]++
	return sync.OnceFunc(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if s.hosts[addr]--; s.hosts[addr] <= 0 {
			delete(s.hosts, addr)
		}
	})
}

// segment finds or makes a network; the caller holds the lock.
func (n *Net) segment(network string) *segment {
	if n.segments == nil {
		n.segments = map[string]*segment{}
	}
	s := n.segments[network]
	if s == nil {
		s = &segment{hosts: map[netip.Addr]int{}, listeners: map[netip.AddrPort]string{}}
		n.segments[network] = s
	}
	return s
}

// Listen listens on an attached address of a network. Closing the listener
// takes the port out of the table.
func (n *Net) Listen(ctx context.Context, network string, at netip.AddrPort) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("vnet: listen on loopback for %s: %w", at, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.segment(network)
	if s.hosts[at.Addr()] == 0 {
		_ = l.Close()
		return nil, fmt.Errorf("vnet: listen on %s: %w", at, syscall.EADDRNOTAVAIL)
	}
	if _, taken := s.listeners[at]; taken {
		_ = l.Close()
		return nil, fmt.Errorf("vnet: listen on %s: %w", at, syscall.EADDRINUSE)
	}
	s.listeners[at] = l.Addr().String()
	return &listener{Listener: l, unmap: sync.OnceFunc(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(s.listeners, at)
	})}, nil
}

// listener leaves the table before its socket closes, so that nobody dials a
// loopback port that the kernel has already given to somebody else.
type listener struct {
	net.Listener
	unmap func()
}

func (l *listener) Close() error {
	l.unmap()
	return l.Listener.Close()
}

// Publish makes an address reachable from every network, as a load balancer's
// external address is. withdraw takes it back.
func (n *Net) Publish(addr netip.Addr, f Forward) (withdraw func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.published == nil {
		n.published = map[netip.Addr]Forward{}
	}
	n.published[addr] = f
	return sync.OnceFunc(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.published, addr)
	})
}

// Dial opens a stream to a virtual address as seen from inside a network. Its
// errors are those of a real network: ECONNREFUSED where nobody listens, a
// timeout where there is no route, the context's error when it ends first.
func (n *Net) Dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	at, known := n.lookup(network, to)
	switch {
	case at != "":
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", at)
		if err != nil {
			return nil, opError(to, err)
		}
		return conn, nil
	case known:
		return nil, opError(to, os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	return nil, n.blackHole(ctx, to)
}

// lookup follows the tables to a real address; known says that the virtual
// address exists even though nobody listens there.
func (n *Net) lookup(network string, to netip.AddrPort) (at string, known bool) {
	n.mu.RLock()
	forward := n.published[to.Addr()]
	n.mu.RUnlock()
	if forward != nil {
		// Outside the lock: the forward may look at tables of its owner.
		var ok bool
		if network, to, ok = forward(to.Port()); !ok {
			return "", true
		}
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	s := n.segments[network]
	if s == nil {
		return "", forward != nil
	}
	return s.listeners[to], forward != nil || s.hosts[to.Addr()] > 0
}

func (n *Net) blackHole(ctx context.Context, to netip.AddrPort) error {
	timer := time.NewTimer(cmp.Or(n.ConnectTimeout, DefaultConnectTimeout))
	defer timer.Stop()
	select {
	case <-timer.C:
		return opError(to, os.ErrDeadlineExceeded)
	case <-ctx.Done():
		return opError(to, ctx.Err())
	}
}

// opError names the virtual address, never the loopback one behind it. A
// context's deadline becomes the network's own timeout.
func opError(to netip.AddrPort, err error) error {
	if oe, ok := err.(*net.OpError); ok { //nolint:errorlint // the outermost layer only: it is replaced
		err = oe.Err
	}
	return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}
}

// NoSuchHost is the error of a resolver that does not know a name.
func NoSuchHost(name string) error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}}
}

// Refused is the error of an address that exists and has nobody listening.
func Refused(to netip.AddrPort) error {
	return opError(to, os.NewSyscallError("connect", syscall.ECONNREFUSED))
}
