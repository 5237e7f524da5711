// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meshprobe/meshprobe/pkg/agent"
)

// elsewhere dials target whatever was asked for, as tests have nothing but
// loopback.
func elsewhere(target string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, target)
	}
}

func TestCaller(t *testing.T) {
	mine, theirs := agent.NewToken(), agent.NewToken()
	target := echo(t)
	stream := start(t, &agent.Server{Caller: mine.Hash()})
	for _, tc := range []struct {
		name  string
		token agent.Token
		want  agent.Reason // "" is a stream
	}{
		{"mine", mine, ""},
		{"somebody-elses", theirs, agent.Unauthorized},
		{"none", "", agent.Unauthorized},
		{"the-hash", agent.Token(mine.Hash()), agent.Unauthorized},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conn, err := tc.token.Dial(t.Context(), stream(), target)
			if tc.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				_ = conn.Close()
				return
			}
			refused, ok := errors.AsType[*agent.DialError](err)
			if !ok || refused.Reason != tc.want || refused.Tried() {
				t.Errorf("error %v, want %s and no dial", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), string(mine)) {
				t.Error("the error shows the token")
			}
		})
	}
	if shown := fmt.Sprintf("%v %s %q", mine, mine, mine); strings.Contains(shown, string(mine)) {
		t.Errorf("a token prints as %s", shown)
	}
}

func TestHosts(t *testing.T) {
	target := echo(t)
	named := start(t, &agent.Server{Hosts: []string{"10.1.2.3", "gw.example", "fd00::1"}, Dial: elsewhere(target)})
	for _, tc := range []struct {
		host string
		want agent.Reason
	}{
		{"10.1.2.3:15008", ""},
		{"10.1.2.3:9080", ""},
		{"GW.example:15443", ""},
		{"[fd00::1]:80", ""},
		{"10.1.2.4:15008", agent.NotNamed},
		{"10.1.2.3.example:80", agent.NotNamed},
		{"169.254.169.254:80", agent.NotNamed},
		{"localhost:15080", agent.NotNamed},
	} {
		conn, err := agent.Dial(t.Context(), named(), tc.host)
		if refused, ok := errors.AsType[*agent.DialError](err); ok && refused.Reason == tc.want && !refused.Tried() {
			continue
		}
		if err != nil || tc.want != "" {
			t.Errorf("%s: %v, want %q", tc.host, err, tc.want)
		}
		if conn != nil {
			_ = conn.Close()
		}
	}
	// A name that was allowed must not lead to the agent's own loopback.
	own := start(t, &agent.Server{Hosts: []string{"127.0.0.1"}})
	if _, err := agent.Dial(t.Context(), own(), target); err == nil {
		t.Error("the agent dials its own loopback")
	}
}

func TestHealth(t *testing.T) {
	mine := agent.NewToken()
	stream := start(t, &agent.Server{Caller: mine.Hash()})
	for _, token := range []agent.Token{"", mine} {
		if idle, err := token.Health(t.Context(), stream()); err != nil || idle < 0 || idle > time.Minute {
			t.Errorf("idle %s, %v", idle, err)
		}
	}
}

// TestIdle: an agent whose caller is gone ends by itself, and not before.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipes()
		mine := agent.NewToken()
		began := time.Now()
		ended := make(chan time.Duration)
		go func() {
			if err := (&agent.Server{Caller: mine.Hash(), Idle: time.Minute}).Serve(t.Context(), ln); err != nil {
				t.Error(err)
			}
			ended <- time.Since(began)
		}()
		for range 3 {
			<-time.After(40 * time.Second)
			if _, err := mine.Health(t.Context(), ln.dial()); err != nil {
				t.Error(err)
			}
		}
		<-time.After(40 * time.Second)
		// Somebody else's question keeps nothing alive.
		if idle, err := agent.Token("").Health(t.Context(), ln.dial()); err != nil || idle != 40*time.Second {
			t.Errorf("idle %s, %v", idle, err)
		}
		if took := <-ended; took != 3*time.Minute {
			t.Errorf("it ended after %s, want 3m0s", took)
		}
	})
}

// pipes is a listener without a network.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) dial() net.Conn {
	near, far := net.Pipe()
	p.conns <- far
	return near
}

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipes) Close() error {
	close(p.done)
	return nil
}

// Addr implements net.Listener.
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }
