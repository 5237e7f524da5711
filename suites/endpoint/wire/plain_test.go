// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meshprobe/meshprobe/suites/endpoint/wire"
	"github.com/meshprobe/meshprobe/suites/seen"
)

// says greets with text and holds the connection.
func says(text string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = io.WriteString(c, text)
		_, _ = io.Copy(io.Discard, c)
	}
}

// replies says text to whatever comes first.
func replies(text string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4<<10))
		says(text)(c)
	}
}

// requests answers HTTP, and nothing else.
func requests(c net.Conn) {
	if line, err := bufio.NewReader(c).ReadString('\n'); err == nil && strings.Contains(line, "HTTP/1.1") {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nServer: envoy\r\n\r\n")
	}
	_, _ = io.Copy(io.Discard, c)
}

func reset(c net.Conn) {
	_, _ = c.Read(make([]byte, 16<<10))
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// TestPlain meets endpoints that speak no TLS.
func TestPlain(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name        string
		serve       func(net.Conn)
		want        wire.Answer
		outcome     seen.Outcome
		connections int
	}{
		{
			"http", replies("HTTP/1.1 400 Bad Request\r\nServer: nginx/1.27\r\nConnection: close\r\n\r\n<html>"),
			wire.Answer{Protocol: wire.ProtocolHTTP, To: wire.PromptHello, Line: "HTTP/1.1 400 Bad Request", Server: "nginx/1.27"},
			wire.NotTLS, 1,
		},
		{"http-in-pieces", func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4<<10))
			_, _ = io.WriteString(c, "HTTP/1.0 400")
			_, _ = io.WriteString(c, " Bad Request\r\n\r\n")
			_, _ = io.Copy(io.Discard, c)
		}, wire.Answer{Protocol: wire.ProtocolHTTP, To: wire.PromptHello, Line: "HTTP/1.0 400 Bad Request"}, wire.NotTLS, 1},
		{
			"ssh", says("SSH-2.0-OpenSSH_9.6\r\n"),
			wire.Answer{Protocol: wire.ProtocolSSH, To: wire.PromptHello, Line: "SSH-2.0-OpenSSH_9.6"},
			wire.NotTLS, 1,
		},
		{
			"smtp", says("220 mail.example ESMTP\r\n"),
			wire.Answer{Protocol: wire.ProtocolBanner, To: wire.PromptHello, Line: "220 mail.example ESMTP"},
			wire.NotTLS, 1,
		},
		{
			"proxy", says("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"),
			wire.Answer{Protocol: wire.ProtocolProxy, To: wire.PromptHello, Line: "PROXY TCP4 10.0.0.1 10.0.0.2 1 2"},
			wire.NotTLS, 1,
		},
		{
			"http2", replies("\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"),
			wire.Answer{Protocol: wire.ProtocolHTTP2, To: wire.PromptHello, Line: `\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00d`},
			wire.NotTLS, 1,
		},
		{
			"garbage", says("\x1b[31mred\x00\xff\n"),
			wire.Answer{Protocol: wire.ProtocolOther, To: wire.PromptHello, Line: `\x1b[31mred\x00\xff`},
			wire.NotTLS, 1,
		},
		{
			"http-only", requests,
			wire.Answer{Protocol: wire.ProtocolHTTP, To: wire.PromptHTTP, Line: "HTTP/1.1 200 OK", Server: "envoy"},
			wire.Stalled, 3,
		},
		{
			"silence", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
			wire.Answer{Protocol: wire.ProtocolSilence, To: wire.PromptHello},
			wire.Stalled, 3,
		},
		{"reset", reset, wire.Answer{Protocol: wire.ProtocolClosed, To: wire.PromptHello, End: wire.EndRST}, seen.Closed, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := observe(t, wire.Target{Kind: wire.TLS, Address: serve(t, tc.serve), Timeout: 4 * time.Second})
			if diff := cmp.Diff(tc.want, got.Answer); diff != "" {
				t.Error(diff)
			}
			if got.Layer.Outcome != tc.outcome || got.Connections != tc.connections || got.TCP.Outcome != wire.TCPConnected {
				t.Errorf("%s after %d connections: %s", got.Layer.Outcome, got.Connections, got.Layer.Error)
			}
		})
	}
}

// TestNoSniff keeps to one connection and gives it all the time.
func TestNoSniff(t *testing.T) {
	t.Parallel()
	addr := serve(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	got := observe(t, wire.Target{Kind: wire.HBONE, Address: addr, Timeout: 200 * time.Millisecond, NoSniff: true})
	if got.Connections != 1 || got.Layer.Outcome != wire.Stalled || got.Answer.Protocol != wire.ProtocolSilence || got.TotalMS < 200 {
		t.Errorf("%+v", got)
	}
}

// TestTCP fails before anything is said.
func TestTCP(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	_ = l.Close()
	hang := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	for _, tc := range []struct {
		name, addr string
		dial       wire.Dial
		want       wire.TCPOutcome
	}{
		{"refused", nobody, nil, wire.TCPRefused},
		{"unresolvable", strings.Repeat("a", 64) + ".invalid:15008", nil, wire.TCPUnresolvable},
		{"timeout", "192.0.2.1:15008", hang, wire.TCPTimeout},
	} {
		t.Run(tc.name, func(t *testing.T) {
			timeout := 20 * time.Second
			if tc.want == wire.TCPTimeout {
				timeout = 50 * time.Millisecond
			}
			o := &wire.Observer{Dial: tc.dial}
			got := o.Observe(t.Context(), wire.Target{Kind: wire.HBONE, Address: tc.addr, Timeout: timeout})
			if got.TCP.Outcome != tc.want || got.TCP.Error == "" || got.Layer != nil || got.Answer.Protocol != wire.ProtocolNone || got.Interrupted {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestInterrupted ends with the caller's context, and says so.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	addr := serve(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		cancel()
		_, _ = io.Copy(io.Discard, c)
	})
	got := new(wire.Observer).Observe(ctx, wire.Target{Kind: wire.TLS, Address: addr, Timeout: time.Hour})
	if !got.Interrupted || got.Connections != 1 {
		t.Errorf("%+v", got)
	}
}
