// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// greeting begins every stream to an agent; the number is that of the protocol.
const greeting = "meshprobe-agent/1"

// maxLine bounds the lines that a stream begins with.
const maxLine = 512

// closeTime bounds what Close still sends.
const closeTime = time.Second

// Dialer opens streams as an agent sees the network. It is safe for concurrent
// use.
type Dialer struct {
	// Through opens a stream to the agent itself.
	Through func(ctx context.Context) (net.Conn, error)

	// Token is what the agent knows its caller by.
	Token string
}

// Dial opens a TCP stream to a literal address as the agent sees it. Errors are
// those that a dial from there would have: *net.OpError around ECONNREFUSED,
// EHOSTUNREACH or a timeout. The caller owns the connection.
func (d *Dialer) Dial(ctx context.Context, addr string) (net.Conn, error) {
	if _, err := netip.ParseAddrPort(addr); err != nil {
		return nil, &net.AddrError{Err: "an agent dials literal addresses only", Addr: addr}
	}
	under, err := d.Through(ctx)
	if err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = under.SetDeadline(time.Unix(1, 0)) })
	c, err := d.greet(under, addr)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = under.Close()
		if ctx.Err() != nil {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
		}
		return nil, err
	}
	return c, nil
}

func (d *Dialer) greet(under net.Conn, addr string) (*conn, error) {
	if _, err := fmt.Fprintf(under, "%s %s %s\n", greeting, d.Token, addr); err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	in := bufio.NewReaderSize(under, maxPayload)
	line, err := in.ReadSlice('\n')
	if err != nil {
		return nil, fmt.Errorf("agent: no answer: %w", err)
	}
	word, text, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
	if word != wordOK {
		return nil, failed(word, text, addr)
	}
	local, remote, _ := strings.Cut(text, " ")
	return &conn{
		under: under, in: &reader{from: in}, out: &writer{to: under},
		local: tcpAddr(local), remote: tcpAddr(remote),
	}, nil
}

func tcpAddr(text string) net.Addr {
	ap, _ := netip.ParseAddrPort(text) // zero where it is not told
	return net.TCPAddrFromAddrPort(ap)
}

// The words of an answer.
const (
	wordOK          = "ok"
	wordRefused     = "refused"
	wordTimeout     = "timeout"
	wordUnreachable = "unreachable"
	wordForbidden   = "forbidden"
	wordFailed      = "failed"
)

// ErrForbidden says that an agent does not take the caller or the address.
var ErrForbidden = errors.New("the agent refuses")

// timeoutError is a dial that took the agent too long.
type timeoutError struct{}

func (timeoutError) Error() string   { return "i/o timeout" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

// failed is the error that the agent met.
func failed(word, text, addr string) error {
	op := &net.OpError{Op: "dial", Net: "tcp", Addr: tcpAddr(addr)}
	switch word {
	case wordRefused:
		op.Err = syscall.ECONNREFUSED
	case wordTimeout:
		op.Err = timeoutError{}
	case wordUnreachable:
		op.Err = syscall.EHOSTUNREACH
	case wordForbidden:
		return fmt.Errorf("agent: %w: %s", ErrForbidden, plain(text))
	default:
		op.Err = errors.New(plain(text))
	}
	return op
}

// plain is what a line of the other side may put on a terminal.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, text)
}

// conn is one stream through an agent.
type conn struct {
	under         net.Conn
	in            *reader
	out           *writer
	local, remote net.Addr
}

var _ net.Conn = (*conn)(nil)

func (c *conn) Read(p []byte) (int, error)         { return c.in.Read(p) }
func (c *conn) Write(p []byte) (int, error)        { return c.out.Write(p) }
func (c *conn) LocalAddr() net.Addr                { return c.local }
func (c *conn) RemoteAddr() net.Addr               { return c.remote }
func (c *conn) SetDeadline(t time.Time) error      { return c.under.SetDeadline(t) }
func (c *conn) SetReadDeadline(t time.Time) error  { return c.under.SetReadDeadline(t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.under.SetWriteDeadline(t) }

// CloseWrite ends the stream towards the peer, which may still answer.
func (c *conn) CloseWrite() error { return c.out.end(frameEnd) }

// Close ends the stream in both directions, as the peer sees it: with an end.
func (c *conn) Close() error {
	_ = c.under.SetWriteDeadline(time.Now().Add(closeTime)) // a stream without deadlines is not held up for long either
	_ = c.out.end(frameEnd)                                 // who is gone needs no end
	return c.under.Close()
}
