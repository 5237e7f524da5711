// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meshprobe/meshprobe/pkg/hbone"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs serve on a loopback listener until the test is over and demands
// that it then returns nil.
func start(t testing.TB, serve func(context.Context, net.Listener) error) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := serve(ctx, ln); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return ln.Addr().String()
}

func dial(t testing.TB, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// helloBytes is the ClientHello of a Go client.
func helloBytes(t testing.TB, sni string, alpn ...string) []byte {
	t.Helper()
	near, far := net.Pipe()
	var wg sync.WaitGroup
	cfg := clientTLS(nil, alpn...)
	cfg.ServerName = sni
	wg.Go(func() { _ = tls.Client(near, cfg).Handshake() })
	buf := make([]byte, 8<<10)
	n, err := far.Read(buf)
	_ = far.Close()
	_ = near.Close()
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

// ending says in one word how the server ended a connection on which it said
// nothing: eof, reset, or what it was instead.
func ending(c io.Reader) string {
	n, err := c.Read(make([]byte, 1))
	switch {
	case n > 0:
		return "bytes"
	case errors.Is(err, io.EOF):
		return "eof"
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	default:
		return err.Error()
	}
}

// turnedAway is the ending of a connection that may be refused as soon as it
// is accepted, which connect(2) can already see.
func turnedAway(t testing.TB, addr string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return ending(&failedReader{err})
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return ending(c)
}

type failedReader struct{ err error }

func (r *failedReader) Read([]byte) (int, error) { return 0, r.err }

// echoed says whether the application sends sent back.
func echoed(c io.ReadWriter, sent []byte) error {
	if _, err := c.Write(sent); err != nil {
		return err
	}
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if !bytes.Equal(got, sent) {
		return errors.New("other bytes came back")
	}
	return nil
}

// verdict is what a TLS client learns: "accepted" with proof, else the alert.
func verdict(c net.Conn, cfg *tls.Config, proof func(*tls.Conn) error) string {
	secure := tls.Client(c, cfg)
	err := secure.Handshake()
	if err == nil {
		err = proof(secure)
	}
	if a, ok := hbone.RemoteAlert(err); ok {
		return hbone.AlertName(a)
	}
	if err != nil {
		return err.Error()
	}
	return "accepted"
}

func echoProof(c *tls.Conn) error { return echoed(c, []byte("ping")) }

// settingsProof waits for the SETTINGS that the server sends, after a preface.
func settingsProof(c *tls.Conn) error {
	if _, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
		return err
	}
	head := make([]byte, 9)
	if _, err := io.ReadFull(c, head); err != nil {
		return err
	}
	if head[3] != 4 {
		return errors.New("first frame is not SETTINGS")
	}
	return nil
}
