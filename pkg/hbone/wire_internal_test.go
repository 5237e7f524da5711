// SPDX-License-Identifier: Apache-2.0

package hbone

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// session runs a client over conn without TLS, for tests of the wire alone.
func plainSession(ctx context.Context, conn net.Conn, keepAlive, stall time.Duration) (*Session, error) {
	m := newMux(conn, nil, true, Settings{}, keepAlive, stall)
	s := &Session{m: m, timeout: 5 * time.Second}
	m.start()
	if err := m.settle(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func TestKeepAlive(t *testing.T) {
	serve := func(t *testing.T, conn net.Conn, wg *sync.WaitGroup) *Server {
		t.Helper()
		srv := &Server{Handler: func(context.Context, *Request) Answer { return Answer{} }}
		wg.Go(func() { _ = srv.ServeConn(t.Context(), conn) })
		return srv
	}
	t.Run("answered", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var wg sync.WaitGroup
			a, b := net.Pipe()
			srv := serve(t, b, &wg)
			s, err := plainSession(t.Context(), a, defaultKeepAlive, defaultKeepAliveTimeout)
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Hour)
			if s.Err() != nil {
				t.Errorf("after an idle hour: %v", s.Err())
			}
			_ = s.Close()
			_ = srv.Close()
			wg.Wait()
		})
	})
	t.Run("dead-peer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var wg sync.WaitGroup
			a, b := net.Pipe()
			wg.Go(func() { _, _ = io.Copy(io.Discard, b) })
			wg.Go(func() { _ = http2.NewFramer(b, b).WriteSettings() })
			s, err := plainSession(t.Context(), a, defaultKeepAlive, defaultKeepAliveTimeout)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			<-s.Done()
			if took := time.Since(start); !errors.Is(s.Err(), ErrStalled) || took != 30*time.Second {
				t.Errorf("ended with %v after %v, want ErrStalled after 30s", s.Err(), took)
			}
			_ = s.Close()
			wg.Wait()
		})
	})
}

// exchange lets a client open and use a tunnel while the peer says what it will.
func exchange(t *testing.T, said []byte) {
	t.Helper()
	var wg sync.WaitGroup
	a, b := net.Pipe()
	wg.Go(func() { _, _ = io.Copy(io.Discard, b) })
	wg.Go(func() {
		_, _ = b.Write(said)
		_ = b.Close()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	s, err := plainSession(ctx, a, -1, time.Second)
	if err == nil {
		var c *Conn
		if c, err = s.Open(ctx, "10.0.0.1:80", nil); err == nil {
			_, _ = c.Write([]byte("x"))
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}
		_ = s.Close()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nothing but a deadline ended it: %v", err)
	}
	_ = b.Close()
	wg.Wait()
}

func frames(write func(*http2.Framer)) []byte {
	var b bytes.Buffer
	fr := http2.NewFramer(&b, nil)
	fr.AllowIllegalWrites = true
	write(fr)
	return b.Bytes()
}

// FuzzServerFrames: whatever a server sends, a client ends, without panic and
// without a goroutine left.
func FuzzServerFrames(f *testing.F) {
	f.Add(frames(func(fr *http2.Framer) { _ = fr.WriteSettings() }))
	f.Add(frames(func(fr *http2.Framer) {
		_ = fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100})
		_ = fr.WriteSettingsAck()
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x88}, EndHeaders: true})
		_ = fr.WriteDataPadded(1, false, []byte("data"), make([]byte, 3))
		_ = fr.WriteWindowUpdate(1, 100)
		_ = fr.WritePing(false, [8]byte{1})
		_ = fr.WriteData(1, true, []byte("end"))
	}))
	f.Add(frames(func(fr *http2.Framer) {
		_ = fr.WriteSettings()
		_ = fr.WriteGoAway(0, http2.ErrCodeNo, []byte("bye"))
		_ = fr.WriteRSTStream(1, http2.ErrCodeCancel)
	}))
	f.Fuzz(exchange)
}

// FuzzResponseHeaders: the block is a header block of a well-formed frame.
func FuzzResponseHeaders(f *testing.F) {
	f.Add([]byte{0x88}, false)
	f.Add([]byte{0x00, 7, ':', 's', 't', 'a', 't', 'u', 's', 3, '4', '0', '1'}, true)
	f.Add([]byte{0x3f, 0xff, 0xff, 0xff, 0x7f}, true)
	f.Fuzz(func(t *testing.T, block []byte, end bool) {
		if len(block) > initialMaxFrame {
			return
		}
		exchange(t, frames(func(fr *http2.Framer) {
			_ = fr.WriteSettings()
			_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true, EndStream: end})
		}))
	})
}

// FuzzClientFrames: whatever a client sends, the server ends its connection.
func FuzzClientFrames(f *testing.F) {
	f.Add(frames(func(fr *http2.Framer) {
		_ = fr.WriteSettings()
		// :method CONNECT and :authority, literals.
		block := append([]byte{0x02, 7}, "CONNECT"...)
		block = append(append(block, 0x01, 4), "a:80"...)
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true})
		_ = fr.WriteData(1, false, []byte("data"))
		_ = fr.WriteRSTStream(1, http2.ErrCodeCancel)
	}))
	f.Fuzz(func(t *testing.T, said []byte) {
		var wg sync.WaitGroup
		a, b := net.Pipe()
		wg.Go(func() { _, _ = io.Copy(io.Discard, b) })
		wg.Go(func() {
			_, _ = b.Write([]byte(http2.ClientPreface))
			_, _ = b.Write(said)
			_ = b.Close()
		})
		srv := &Server{KeepAlive: -1, Handler: func(context.Context, *Request) Answer {
			return Answer{Serve: func(_ context.Context, c *Conn) { _, _ = io.Copy(c, c) }}
		}}
		_ = srv.ServeConn(t.Context(), a)
		_ = srv.Close()
		wg.Wait()
	})
}
