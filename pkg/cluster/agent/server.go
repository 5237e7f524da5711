// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// DefaultPort and DefaultAddress are where an agent listens: on the loopback of
// its pod, which only a port-forward reaches.
const (
	DefaultPort    = 15111
	DefaultAddress = "127.0.0.1:15111"
)

const (
	defaultStreams = 256
	greetTime      = 10 * time.Second
	dialTime       = 15 * time.Second
	idleTime       = 5 * time.Minute
)

// Server bridges streams. Token and Allow are required: without them it refuses
// everything.
type Server struct {
	// Token is what a caller must know.
	Token string

	// Allow are the ranges that may be dialed. Loopback, link-local and
	// multicast addresses never are.
	Allow []netip.Prefix

	// Streams bounds how many there are at once; 0 means 256. More wait.
	Streams int

	loopback bool // tests have no other address
}

// Serve takes streams from a listener until the context ends, then closes the
// listener and every stream, and returns when all have ended. Any other end of
// the listener is an error.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	limit := s.Streams
	if limit <= 0 {
		limit = defaultStreams
	}
	slots := make(chan struct{}, limit)
	var streams sync.WaitGroup
	defer streams.Wait()
	defer cancel()
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = c.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("agent: %w", err)
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			_ = c.Close()
			return nil
		}
		streams.Go(func() {
			defer func() { <-slots }()
			s.serve(ctx, c)
		})
	}
}

// serve carries one stream to its end.
func (s *Server) serve(ctx context.Context, caller net.Conn) {
	defer caller.Close()
	stop := context.AfterFunc(ctx, func() { _ = caller.Close() })
	defer stop()
	_ = caller.SetDeadline(time.Now().Add(greetTime)) // a stream without deadlines has an end of its own
	in := bufio.NewReaderSize(caller, maxPayload)
	target, err := s.greeted(in)
	if err != nil {
		answer(caller, wordForbidden, err.Error())
		return
	}
	dialCtx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	_ = caller.SetDeadline(time.Now().Add(2 * dialTime))
	peer, err := new(net.Dialer).DialContext(dialCtx, "tcp", target.String())
	if err != nil {
		answer(caller, word(err), "the address does not answer")
		return
	}
	defer peer.Close()
	stopPeer := context.AfterFunc(ctx, func() { _ = peer.Close() })
	defer stopPeer()
	answer(caller, wordOK, peer.LocalAddr().String()+" "+peer.RemoteAddr().String())
	bridge(caller, in, peer)
}

// greeted reads what the caller wants, and refuses what it may not have.
func (s *Server) greeted(in *bufio.Reader) (netip.AddrPort, error) {
	var none netip.AddrPort
	line, err := readLine(in)
	if err != nil {
		return none, err
	}
	fields := strings.Split(line, " ")
	if len(fields) != 3 || fields[0] != greeting {
		return none, errors.New("it does not speak " + greeting)
	}
	want, got := sha256.Sum256([]byte(s.Token)), sha256.Sum256([]byte(fields[1]))
	if s.Token == "" || subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
		return none, errors.New("it does not know the caller")
	}
	target, err := netip.ParseAddrPort(fields[2])
	if err != nil {
		return none, errors.New("it dials literal addresses only")
	}
	addr := target.Addr().Unmap()
	if target.Port() == 0 || !addr.IsGlobalUnicast() && !s.loopback || !slices.ContainsFunc(s.Allow, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return none, errors.New("it was not started for " + target.String())
	}
	return target, nil
}

func readLine(in *bufio.Reader) (string, error) {
	var line []byte
	for len(line) < maxLine {
		b, err := in.ReadByte()
		if err != nil {
			return "", err
		}
		if b == '\n' {
			return string(line), nil
		}
		line = append(line, b)
	}
	return "", errors.New("its first line has no end")
}

func answer(c io.Writer, word, text string) {
	_, _ = fmt.Fprintf(c, "%s %s\n", word, text) // a caller that is gone needs no answer
}

// word is how the error of a dial is told.
func word(err error) string {
	ne, ok := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return wordRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return wordUnreachable
	case ok && ne.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return wordTimeout
	}
	return wordFailed
}

// bridge passes bytes on in both directions until both have ended, one was
// reset, or the caller is gone.
func bridge(caller net.Conn, in io.Reader, peer net.Conn) {
	idle := &idleness{conns: []net.Conn{caller, peer}}
	idle.touch()
	ended := make(chan struct{})
	var both sync.WaitGroup
	both.Go(func() {
		err := pump(peer, &reader{from: in}, idle)
		close(ended)
		if err != nil {
			reset(peer) // the caller reset or is gone: the peer sees no end
			return
		}
		if half, ok := peer.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite() // the peer may be gone already
		}
		// After its end a caller sends nothing; when it leaves, so does the agent.
		_, _ = io.CopyN(io.Discard, in, 1)
		_ = peer.Close()
	})
	both.Go(func() {
		out := &writer{to: caller}
		err := pump(out, peer, idle)
		kind := byte(frameEnd)
		if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
			kind = frameReset
		} else if err != nil {
			_ = caller.Close() // cut off, which is neither
			return
		}
		_ = out.end(kind) // a caller that is gone sees nothing
		<-ended
		_ = caller.Close()
	})
	both.Wait()
}

// pump copies until from ends; its error is nil then.
func pump(to io.Writer, from io.Reader, idle *idleness) error {
	buf := make([]byte, maxPayload)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			idle.touch()
			if _, err := to.Write(buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// reset closes a connection so that its peer sees a reset.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without it the peer sees an end
	}
	_ = c.Close()
}

// idleness ends a stream over which nothing goes.
type idleness struct{ conns []net.Conn }

func (i *idleness) touch() {
	for _, c := range i.conns {
		_ = c.SetDeadline(time.Now().Add(idleTime)) // a closed one needs none
	}
}
