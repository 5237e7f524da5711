// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/meshprobe/meshprobe/pkg/agent"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// start runs an agent and returns how streams to it are opened.
func start(t testing.TB, s *agent.Server) func() net.Conn {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ln := listen(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Serve(ctx, ln); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return func() net.Conn {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
}

// echo answers what it reads, and ends when its client half-closes.
func echo(t testing.TB) string {
	t.Helper()
	ln := listen(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		wg.Wait()
	})
	return ln.Addr().String()
}

func TestBridge(t *testing.T) {
	stream := start(t, &agent.Server{})
	target := echo(t)
	var wg sync.WaitGroup
	for i := range 8 {
		conn, err := agent.Dial(t.Context(), stream(), target)
		if err != nil {
			t.Fatal(err)
		}
		sent := strings.Repeat(fmt.Sprintf("stream %d ", i), 20_000)
		wg.Go(func() {
			_, _ = io.WriteString(conn, sent)
			_ = conn.(interface{ CloseWrite() error }).CloseWrite()
		})
		got, err := io.ReadAll(conn)
		if err != nil || string(got) != sent {
			t.Errorf("stream %d: %d bytes of %d came back, %v", i, len(got), len(sent), err)
		}
		wg.Wait()
	}
}

// TestReset: an upstream that breaks must not look like the end of its data.
func TestReset(t *testing.T) {
	ln := listen(t)
	defer ln.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		_, _ = io.ReadFull(c, make([]byte, 1))
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	})
	conn, err := agent.Dial(t.Context(), start(t, &agent.Server{})(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write([]byte{1})
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read %v, want a reset", err)
	}
}

// TestRelayed: what an upstream said before it broke must arrive, and then an
// end, because an RST would overtake it on its way through a relay.
func TestRelayed(t *testing.T) {
	ln := listen(t)
	defer ln.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		_, _ = io.ReadFull(c, make([]byte, 1))
		_, _ = io.WriteString(c, "last words")
		_, _ = io.ReadFull(c, make([]byte, 1)) // they were read before the reset
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	})
	conn, err := agent.Dial(t.Context(), start(t, &agent.Server{Relayed: true})(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = conn.Write([]byte{1})
	words := make([]byte, len("last words"))
	if _, err := io.ReadFull(conn, words); err != nil || string(words) != "last words" {
		t.Errorf("got %q, %v", words, err)
	}
	_, _ = conn.Write([]byte{2})
	if n, err := conn.Read(words); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("read %d bytes, %v; want an end", n, err)
	}
}

// TestDialErrors: what the agent met reads as if it had been met here.
func TestDialErrors(t *testing.T) {
	dead := listen(t)
	_ = dead.Close()
	failing := func(err error) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) { return nil, err }
	}
	for name, test := range map[string]struct {
		server agent.Server
		target string
		reason agent.Reason
		is     error
	}{
		"refused":      {agent.Server{}, dead.Addr().String(), agent.Refused, syscall.ECONNREFUSED},
		"no such host": {agent.Server{Dial: failing(&net.DNSError{Name: "nowhere.", IsNotFound: true})}, "nowhere.:80", agent.NoSuchHost, nil},
		"unreachable":  {agent.Server{Dial: failing(syscall.EHOSTUNREACH)}, "192.0.2.1:80", agent.Unreachable, syscall.EHOSTUNREACH},
		"something":    {agent.Server{Dial: failing(errors.New("odd\x1b[31m"))}, "192.0.2.1:80", agent.Other, nil},
		"timeout": {agent.Server{DialTimeout: 20 * time.Millisecond, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}, "192.0.2.1:80", agent.TimedOut, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := agent.Dial(t.Context(), start(t, &test.server)(), test.target)
			got, ok := errors.AsType[*agent.DialError](err)
			if !ok {
				t.Fatalf("%v is no DialError", err)
			}
			if diff := cmp.Diff(test.reason, got.Reason); diff != "" {
				t.Error(diff)
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("%v does not match %v", err, test.is)
			}
			if got.Timeout() != (test.reason == agent.TimedOut) {
				t.Errorf("Timeout() is %v", got.Timeout())
			}
			if strings.ContainsRune(err.Error(), '\x1b') {
				t.Errorf("control characters in %q", err)
			}
		})
	}
}

func TestBusy(t *testing.T) {
	stream := start(t, &agent.Server{Streams: 1})
	target := echo(t)
	if _, err := agent.Dial(t.Context(), stream(), target); err != nil {
		t.Fatal(err)
	}
	_, err := agent.Dial(t.Context(), stream(), target)
	if got, ok := errors.AsType[*agent.DialError](err); !ok || got.Reason != agent.Busy {
		t.Errorf("the second stream of one: %v", err)
	}
}

// TestTargets: nothing but a host and a port gets into the request.
func TestTargets(t *testing.T) {
	for _, target := range []string{"", "host", "host:", ":80", "host:0", "host:99999", "a b:80", "a\r\nX: y:80", "user@host:80", "host:http"} {
		a, b := net.Pipe()
		_ = b.Close()
		if _, err := agent.Dial(t.Context(), a, target); err == nil {
			t.Errorf("%q was asked for", target)
		}
	}
}

// TestNoAgent: a peer that is no agent is an error in time, not a DialError.
func TestNoAgent(t *testing.T) {
	for name, answer := range map[string]string{
		"garbage": "\x00\x01\x02\x03\r\n\r\n", "silence": "", "endless header": "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			a, b := net.Pipe()
			var wg sync.WaitGroup
			defer wg.Wait()
			defer b.Close()
			wg.Go(func() { _, _ = io.Copy(io.Discard, b) })
			wg.Go(func() { _, _ = io.WriteString(b, answer) })
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			_, err := agent.Dial(ctx, a, "192.0.2.1:80")
			if _, ok := errors.AsType[*agent.DialError](err); ok || err == nil {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestHealthAndHandler(t *testing.T) {
	stream := start(t, &agent.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })})
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return stream(), nil },
	}}
	for path, want := range map[string]int{"/healthz": http.StatusNoContent, "/v1/other": http.StatusTeapot} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://agent"+path, nil)
		req.RequestURI = ""
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}

// TestEnds: when ctx ends, open streams end with it.
func TestEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ln := listen(t)
	done := make(chan error, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { done <- (&agent.Server{}).Serve(ctx, ln) })
	stream, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := agent.Dial(t.Context(), stream, echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the stream outlived its agent")
	}
}

func FuzzDial(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\n\r\nhello"))
	f.Add([]byte("HTTP/1.1 502 Bad Gateway\r\nMeshprobe-Reason: refused\r\n\r\nconnection refused"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		a, b := net.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = io.Copy(io.Discard, b) })
		wg.Go(func() {
			_, _ = b.Write(answer)
			_ = b.Close()
		})
		if conn, err := agent.Dial(t.Context(), a, "192.0.2.1:80"); err == nil {
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}
		_ = a.Close()
		wg.Wait()
	})
}
