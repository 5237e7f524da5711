// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/nettest"
)

const token = "of-this-test"

// patience is for what should come at once, on a machine with other things to do.
const patience = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a server on loopback and returns a dialer that leads through it.
func start(t *testing.T, s *Server) *Dialer {
	t.Helper()
	l := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Serve(ctx, l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return &Dialer{Token: token, Through: func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	}}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func local() *Server {
	return &Server{Token: token, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, loopback: true}
}

// pair is a stream through an agent and its other end.
func pair(t *testing.T, d *Dialer) (theirs *net.TCPConn, through net.Conn) {
	t.Helper()
	l := listen(t)
	var err error
	if through, err = d.Dial(t.Context(), l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	tcp, ok := accepted.(*net.TCPConn)
	if !ok {
		t.Fatalf("%T", accepted)
	}
	t.Cleanup(func() { _, _ = tcp.Close(), through.Close() })
	for _, c := range []net.Conn{tcp, through} {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	return tcp, through
}

// TestConn holds a stream to what every connection promises.
func TestConn(t *testing.T) {
	d := start(t, local())
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		theirs, through := pair(t, d)
		_ = theirs.SetDeadline(time.Time{})
		_ = through.SetDeadline(time.Time{})
		return through, theirs, func() { _ = through.Close(); _ = theirs.Close() }, nil
	})
}

// TestEnds looks at how a stream ends, which is what the frames are for.
func TestEnds(t *testing.T) {
	d := start(t, local())
	t.Run("half-close", func(t *testing.T) {
		theirs, through := pair(t, d)
		send(t, through, "question")
		half, ok := through.(interface{ CloseWrite() error })
		if !ok {
			t.Fatal("the stream has no half-close")
		}
		if err := half.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		receive(t, theirs, "question")
		send(t, theirs, "answer")
		_ = theirs.Close()
		receive(t, through, "answer")
		if _, err := through.Write([]byte("more")); err == nil {
			t.Error("a stream can be written to after its end")
		}
	})
	t.Run("peer-resets", func(t *testing.T) {
		theirs, through := pair(t, d)
		_ = theirs.SetLinger(0)
		_ = theirs.Close()
		if _, err := through.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("want a reset, got %v", err)
		}
	})
	t.Run("caller-closes", func(t *testing.T) {
		theirs, through := pair(t, d)
		send(t, through, "goodbye")
		_ = through.Close()
		receive(t, theirs, "goodbye")
	})
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// receive reads to the end.
func receive(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got, err := io.ReadAll(c)
	if err != nil || string(got) != want {
		t.Errorf("got %q, %v; want %q and an end", got, err, want)
	}
}

func TestRefuses(t *testing.T) {
	l := listen(t)
	here := l.Addr().String()
	for name, tc := range map[string]struct {
		change func(*Server, *Dialer)
		addr   string
	}{
		"wrong-token": {func(_ *Server, d *Dialer) { d.Token = "of-another-test" }, here},
		"no-token":    {func(s *Server, d *Dialer) { s.Token, d.Token = "", "" }, here},
		"other-range": {func(s *Server, _ *Dialer) { s.Allow = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }, here},
		"no-range":    {func(s *Server, _ *Dialer) { s.Allow = nil }, here},
		"loopback":    {func(s *Server, _ *Dialer) { s.loopback = false }, here},
		"link-local": {func(s *Server, _ *Dialer) {
			s.loopback = false
			s.Allow = append(s.Allow, netip.MustParsePrefix("169.254.0.0/16"))
		}, "169.254.169.254:80"},
		"space-in-token": {func(_ *Server, d *Dialer) { d.Token = "of this test" }, here},
	} {
		t.Run(name, func(t *testing.T) {
			s := local()
			d := &Dialer{Token: token}
			tc.change(s, d)
			d.Through = start(t, s).Through
			c, err := d.Dial(t.Context(), tc.addr)
			if err == nil {
				_ = c.Close()
			}
			if !errors.Is(err, ErrForbidden) {
				t.Errorf("want a refusal, got %v", err)
			}
		})
	}
}

// TestErrors makes sure that a dial fails as it would from the agent's place.
func TestErrors(t *testing.T) {
	d := start(t, local())
	gone := listen(t)
	_ = gone.Close()
	if _, err := d.Dial(t.Context(), gone.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("want connection refused, got %v", err)
	}
	if _, err := d.Dial(t.Context(), "ratings.shop:9080"); err == nil {
		t.Error("a name is dialed")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Dial(ctx, gone.Addr().String()); err == nil || errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a cancelled dial answers %v", err)
	}
}

// TestFullHouse bounds the streams: the one too many waits, and gets its turn.
func TestFullHouse(t *testing.T) {
	s := local()
	s.Streams = 1
	d := start(t, s)
	_, first := pair(t, d)
	l := listen(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if c, err := d.Dial(ctx, l.Addr().String()); err == nil {
		_ = c.Close()
		t.Fatal("there are more streams than allowed")
	}
	_ = first.Close()
	ctx, cancel = context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := d.Dial(ctx, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}

// FuzzReader feeds anything to the frames: no panic, bounded, and what was
// framed comes back.
func FuzzReader(f *testing.F) {
	f.Add([]byte("\x00\x00\x05hello\x01\x00\x00"))
	f.Add([]byte("\x02\x00\x00"))
	f.Add([]byte("\x00\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := io.ReadAll(&reader{from: bytes.NewReader(data)})
		if len(got) > len(data) {
			t.Errorf("%d bytes of %d", len(got), len(data))
		}
		if err == nil && !bytes.Contains(data, []byte{frameEnd, 0, 0}) {
			t.Error("an end that nobody sent")
		}
		var framed bytes.Buffer
		w := &writer{to: &framed}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := w.end(frameEnd); err != nil {
			t.Fatal(err)
		}
		back, err := io.ReadAll(&reader{from: &framed})
		if err != nil || !bytes.Equal(back, data) {
			t.Errorf("%v: %d bytes of %d came back", err, len(back), len(data))
		}
	})
}

// FuzzGreeting feeds anything to the first line of a stream.
func FuzzGreeting(f *testing.F) {
	f.Add(greeting + " " + token + " 127.0.0.1:80\n")
	f.Add(greeting + "  127.0.0.1:80")
	f.Fuzz(func(t *testing.T, text string) {
		s := local()
		target, err := s.greeted(bufio.NewReader(strings.NewReader(text)))
		if err == nil && !strings.HasPrefix(text, greeting+" "+token+" "+target.String()+"\n") {
			t.Logf("%q leads to %s", text, target)
			if !target.IsValid() || !target.Addr().IsLoopback() {
				t.Error("out of range")
			}
		}
	})
}
